# Replays a trace through Perl's Cache::FastMmap, as replay.c does with ours.
#
# Arguments: the trace, a file for the cache, the number of 256 KiB pages.
# Lifetimes are left out: this cache knows seconds only, and no other clock
# than the system's.
use strict;
use warnings;
use Cache::FastMmap;

my ($trace, $file, $pages) = @ARGV;
my $cache = Cache::FastMmap->new(
    share_file => $file, num_pages => $pages, page_size => '256k',
    raw_values => 1, expire_time => 0, unlink_on_exit => 1, init_file => 1,
);
my ($gets, $hits, $get_bytes, $hit_bytes) = (0, 0, 0, 0);
my $filler = 'x' x (1 << 18);
open my $lines, '<', $trace or die "$trace: $!";
while (my $line = <$lines>) {
    chomp $line; # or it is an empty third field
    my ($key, $size, $kind) = split ' ', $line;
    if (($kind // 'g') eq 'g') {
        my $found = defined $cache->get($key);
        $gets++;
        $get_bytes += $size;
        if ($found) {
            $hits++;
            $hit_bytes += $size;
            next;
        }
    }
    my $length = $size - length $key;
    $cache->set($key, substr($filler, 0, $length > 0 ? $length : 0));
}
print "policy=Cache::FastMmap pages=$pages gets=$gets hits=$hits ",
    "get_bytes=$get_bytes hit_bytes=$hit_bytes\n";
