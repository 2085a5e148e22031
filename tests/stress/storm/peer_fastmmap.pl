# Perl's Cache::FastMmap in the storm: a writer, or a server for a reader.
#
#   write MODE CACHE PAGE_SIZE PAGES JOURNAL KEYS LANES LANE LARGEST ONE_IN COLUMNS SEED
#   serve MODE CACHE PAGE_SIZE PAGES
#
# A writer writes in one lane until it is killed, with the same values and the
# same journal as the Python writers (values.py, journal.py). A server answers
# each key on a line with a line: "-" for a miss, else the length, then that
# many bytes.
use strict;
use warnings;
use Cache::FastMmap;

my ($task, $mode, $path, $page_size, $pages, @rest) = @ARGV;
my $cache = Cache::FastMmap->new(
    share_file => $path, page_size => $page_size, num_pages => $pages,
    raw_values => 1, expire_time => 0, unlink_on_exit => 0, empty_on_exit => 0,
);
$task eq 'serve' ? serve() : write_forever(@rest);

sub serve {
    $| = 1;
    while (defined(my $key = <STDIN>)) {
        chomp $key;
        my $value = $cache->get($key);
        print defined $value ? length($value) . "\n$value" : "-\n";
    }
}

my ($file, %at, $own, $lane_count, $key_count, $lane_number);

sub read_cell {
    sysseek $file, 8 * $_[0], 0;
    sysread $file, my $bytes, 8;
    return unpack 'Q<', $bytes;
}

sub write_cell {
    sysseek $file, 8 * $_[0], 0;
    syswrite $file, pack('Q<', $_[1]);
}

sub write_forever {
    my ($journal, $keys, $lanes, $lane, $largest, $one_in, $columns, $seed) = @_;
    open $file, '+<:raw', $journal or die "$journal: $!";
    ($key_count, $lane_count, $lane_number) = ($keys, $lanes, $lane);
    my $tallies = $keys * (2 * $lanes + $columns);
    my $noise = read_noise();
    my ($number) = $seed =~ /(\d+)$/;
    srand($number * 1000 + $lane);
    my $owned   = 12;
    my $counter = $tallies + $lane * 9;    # "operations" is the first of 9 tallies
    settle($owned) if $mode ne 'set' && $mode ne 'evict';
    while (1) {
        my $key = rand() < 0.3 ? $owned * $lanes + int rand 8
            : $lane + $lanes * int rand $owned;
        my $started = $key * $lanes + $lane;
        my $acked   = $keys * $lanes + $started;
        my $sequence = read_cell($started) + 1;
        write_cell($started, $sequence);
        if ($mode eq 'incr') {
            $cache->get_and_set("key-$key", sub { ($_[1] || 0) + 1 });
            $sequence = read_cell($acked) + 1;
        }
        elsif ($mode eq 'get_and_set') {
            $cache->get_and_set("key-$key", sub { raised($_[1]) });
            $sequence = read_cell($acked) + 1;
        }
        else {
            $cache->set("key-$key", value($key, $sequence, $largest, $one_in, $noise))
                or next;
        }
        write_cell($acked, $sequence);
        write_cell($counter, read_cell($counter) + 1);
    }
}

# Where a killed predecessor got to, in the keys that are this lane's own.
sub settle {
    for my $index (0 .. $_[0] - 1) {
        my $key   = $lane_number + $lane_count * $index;
        my $found = $cache->get("key-$key") || 0;
        ($found) = (split / /, $found)[$lane_number] if $found =~ / /;
        my $cell = $key * $lane_count + $lane_number;
        next if $found < read_cell($key_count * $lane_count + $cell);    # lost
        write_cell($cell, $found);
        write_cell($key_count * $lane_count + $cell, $found);
    }
}

# The counts of all lanes, in words, with this lane's one higher.
sub raised {
    my @counts = split / /, $_[0] // join ' ', (0) x $lane_count;
    $counts[$lane_number]++;
    return join ' ', @counts;
}

sub value {
    my ($key, $sequence, $largest, $one_in, $noise) = @_;
    my $mixed = $key * 7919 + $lane_number * 104729 + $sequence * 1299709;
    my $size = int($mixed / 16) % ($mixed % $one_in ? 256 : $largest);
    my $offset = $mixed % (length($$noise) - $largest);
    return pack('Q<4', $key, $lane_number, $sequence, $size)
        . substr $$noise, $offset, $size;
}

sub read_noise {
    my $size = 1 << 18;
    sysseek $file, -$size, 2;
    my $noise = '';
    sysread $file, $noise, $size - length $noise, length $noise
        while length $noise < $size;
    return \$noise;
}
