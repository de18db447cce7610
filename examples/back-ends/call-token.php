<?php
// Answers `POST /call-token` of your pages: SECRET_KEY=… php -S 127.0.0.1:8000 call-token.php

function call_token(string $visitor, string $destination): array
{
    $http = [
        'method' => 'POST',
        'header' => ['Authorization: Bearer ' . getenv('SECRET_KEY'), 'Content-Type: application/json'],
        'content' => json_encode(['button' => 'pk_live_KEY', 'visitor' => $visitor, 'destination' => $destination]),
        'timeout' => 5,
        'ignore_errors' => true, // a refusal has a body, too
    ];
    $reply = fopen('https://calls.example.com/v1/call-tokens', 'r', false, stream_context_create(['http' => $http]));
    if ($reply === false) {
        return [503, '{"code": "gateway_unreachable"}']; // why is in PHP's log
    }
    return [(int) explode(' ', stream_get_meta_data($reply)['wrapper_data'][0])[1], stream_get_contents($reply)];
}

ini_set('display_errors', '0');
if ($_SERVER['REQUEST_METHOD'] . $_SERVER['REQUEST_URI'] !== 'POST/call-token') {
    http_response_code(404);
    return;
}
// Both out of your own session and books, never out of what the page says.
[$status, $body] = call_token('customer-4711', '+15005551000');
http_response_code($status);
header('Content-Type: application/json');
header('Cache-Control: no-store');
echo $body;
