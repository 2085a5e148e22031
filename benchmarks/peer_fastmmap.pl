# Times Perl's Cache::FastMmap for bench_basic.py, in loops of its own.
#
# Arguments: a directory for the cache files, the number of keys. Prints the
# module's version, then for each line "operation<TAB>passes" read the
# nanoseconds per call.
use strict;
use warnings;
use Cache::FastMmap;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

$| = 1;
my ($directory, $count) = @ARGV;
my @keys     = map { "key-$_" } 0 .. $count - 1;
my @absent   = map { "none-$_" } 0 .. $count - 1;
my @counters = map { "count-$_" } 0 .. $count - 1;
my @records  = map { "record-$_" } 0 .. $count - 1;
my $raw      = join '', map { chr } 0 .. 63;
my $record   = { id => 4711, name => 'Ada Lovelace', tags => [ 'a', 'b' ], score => 0.5 };

# 16 MiB, as the others have; files go away with the process.
my %options = (num_pages => 64, page_size => '256k', expire_time => 0, unlink_on_exit => 1);
my $plain = Cache::FastMmap->new(%options, share_file => "$directory/perl-raw", raw_values => 1);
my $typed = Cache::FastMmap->new(%options, share_file => "$directory/perl-storable");

my %loops = (
    'get hit'  => sub { $plain->get($_)                                for @keys },
    'get miss' => sub { $plain->get($_)                                for @absent },
    'set'      => sub { $plain->set($_, $raw)                          for @keys },
    'incr'     => sub { $plain->get_and_set($_, sub { ($_[1] || 0) + 1 }) for @counters },
    'get dict' => sub { $typed->get($_)                                for @records },
    'set dict' => sub { $typed->set($_, $record)                       for @records },
);

print "$Cache::FastMmap::VERSION\n";
while (my $line = <STDIN>) {
    chomp $line;
    my ($operation, $passes) = split /\t/, $line;
    my $start = clock_gettime(CLOCK_MONOTONIC);
    $loops{$operation}->() for 1 .. $passes;
    my $elapsed = clock_gettime(CLOCK_MONOTONIC) - $start;
    printf "%.1f\n", $elapsed * 1e9 / ($passes * $count);
}
