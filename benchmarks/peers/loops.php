<?php
// Times APCu, in loops of its own; the requests are those of loops.pl.
$record = ['id' => 4711, 'name' => 'Ada Lovelace', 'tags' => ['a', 'b'], 'score' => 0.5];

function loop($operation, $keys, $value) {
    switch ($operation) {
        case 'set':
        case 'set dict':
            foreach ($keys as $key) {
                apcu_store($key, $value);
            }
            break;
        case 'incr':
            foreach ($keys as $key) {
                apcu_inc($key);
            }
            break;
        default:
            foreach ($keys as $key) {
                apcu_fetch($key);
            }
    }
}

$words = ['get hit' => 'key', 'get miss' => 'none', 'set' => 'key', 'incr' => 'count',
    'get dict' => 'record', 'set dict' => 'record'];

if (!function_exists('apcu_enabled') || !apcu_enabled()) {
    exit(1);
}
echo phpversion('apcu'), "\n";
while (($line = fgets(STDIN)) !== false) {
    [$operation, $count, $number, $bytes] = explode("\t", rtrim($line, "\n"));
    $value = $operation === 'set dict' ? $record : str_repeat('x', (int) $bytes);
    $keys = array_map(fn($n) => "$words[$operation]-$bytes-$n", range(0, $number - 1));
    $rest = array_slice($keys, 0, $count % $number);
    $start = hrtime(true);
    for ($pass = intdiv($count, $number); $pass > 0; $pass--) {
        loop($operation, $keys, $value);
    }
    loop($operation, $rest, $value);
    printf("%.1f\n", (hrtime(true) - $start) / $count);
}
