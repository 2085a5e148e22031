# Times Perl's Cache::FastMmap, in loops of its own.
#
# Arguments: a directory for the cache files, megabytes, bytes of a page.
# Prints the module's version; then answers lines of words between tabs:
#
#   OPERATION count keys bytes      nanoseconds per call; values of other sizes
#                                   have other keys
#   "zipf" reads seconds start seed calls per second, from the clock's `start` on
#   "tail" count keys               percentiles of set, then of get: see below
use strict;
use warnings;
use Cache::FastMmap;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

$| = 1;
my ($directory, $megabytes, $page_size) = @ARGV;
my $pages = $megabytes * 1024 * 1024 / $page_size;
my %options = (num_pages => $pages, page_size => $page_size, expire_time => 0);
my $plain = Cache::FastMmap->new(%options, share_file => "$directory/perl-raw", raw_values => 1);
my $typed = Cache::FastMmap->new(%options, share_file => "$directory/perl-storable");
my $record = { id => 4711, name => 'Ada Lovelace', tags => [ 'a', 'b' ], score => 0.5 };
my $value;

my %calls = (
    'get hit'  => [ 'key',    sub { $plain->get($_)          for @_ } ],
    'get miss' => [ 'none',   sub { $plain->get($_)          for @_ } ],
    'set'      => [ 'key',    sub { $plain->set($_, $value)  for @_ } ],
    'incr'     => [ 'count',  sub { $plain->get_and_set($_, sub { ($_[1] || 0) + 1 }) for @_ } ],
    'get dict' => [ 'record', sub { $typed->get($_)          for @_ } ],
    'set dict' => [ 'record', sub { $typed->set($_, $record) for @_ } ],
);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub keys_of {
    my ($word, $count) = @_;
    return map { "$word-$_" } 0 .. $count - 1;
}

sub timed {
    my ($operation, $count, $keys, $bytes) = @_;
    my ($word, $loop) = @{ $calls{$operation} };
    $value = 'x' x $bytes;
    my $passes = int($count / $keys);
    my @all    = keys_of("$word-$bytes", $keys);
    my @rest   = @all[ 0 .. $count % $keys - 1 ];
    my $start  = now();
    $loop->(@all) for 1 .. $passes;
    $loop->(@rest);
    return (now() - $start) * 1e9 / $count;
}

# Draw keys of which the n-th comes with weight 1 / n, in advance.
sub zipf_plan {
    my ($reads, $seed) = @_;
    srand $seed;
    my ($total, @sums) = (0);
    push @sums, $total += 1 / $_ for 1 .. 10_000;
    return map {
        my ($drawn, $low, $high) = (rand $total, 0, $#sums);
        while ($low < $high) {
            my $middle = int(($low + $high) / 2);
            if ($sums[$middle] < $drawn) { $low = $middle + 1 } else { $high = $middle }
        }
        [ "zipf-$low", rand() * 100 >= $reads ];
    } 1 .. 10_000;
}

sub throughput {
    my ($reads, $seconds, $start, $seed) = @_;
    my @plan = zipf_plan($reads, $seed);
    $value = 'x' x 64;
    my $wait = $start - now();
    sleep $wait if $wait > 0;
    my ($calls, $begin) = (0, now());
    while (now() < $begin + $seconds) {
        $_->[1] ? $plain->set($_->[0], $value) : $plain->get($_->[0]) for @plan;
        $calls += @plan;
    }
    return $calls / (now() - $begin);
}

# Percentiles 50, 90, 99, 99.9, 99.99 and 100 of nanoseconds.
sub percentiles {
    my @sorted = sort { $a <=> $b } @_;
    return map { $sorted[ int($_ * $#sorted) ] * 1e9 } 0.5, 0.9, 0.99, 0.999, 0.9999, 1;
}

sub tail {
    my ($count, $keys) = @_;
    my (@sets, @gets);
    my $filler = 'x' x 1024;
    for (1 .. $count) {
        my ($key, $other) = ('key-' . int rand $keys, 'key-' . int rand $keys);
        my $bytes = 64 + int rand 960;
        my $text  = substr $filler, 0, $bytes;
        my $start = now();
        $plain->set($key, $text);
        my $middle = now();
        $plain->get($other);
        my $end = now();
        push @sets, $middle - $start;
        push @gets, $end - $middle;
    }
    return (percentiles(@sets), percentiles(@gets));
}

my %answers = (zipf => \&throughput, tail => \&tail);

print "$Cache::FastMmap::VERSION\n";
while (my $line = <STDIN>) {
    chomp $line;
    my ($what, @words) = split /\t/, $line;
    my @figures = $answers{$what} ? $answers{$what}->(@words) : timed($what, @words);
    print join("\t", map { sprintf '%.1f', $_ } @figures), "\n";
}
