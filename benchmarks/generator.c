/* The load generator's hot loop: paces both legs of every call and checks every byte that comes back.
 *
 * Takes connected sockets whose opening handshakes are done; knows neither the server between them
 * nor how a call is placed. One thread runs the loop; everything else reaches it
 * through a mailbox that the loop empties between two turns, so no state is shared.
 *
 * Sources of constants: RFC 6455 section 5.2 (framing), RFC 4648 section 4 (base64), ITU-T G.711 at
 * 8 kHz (160 bytes are 20 ms), Twilio Media Streams (message shapes and key order).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAYLOAD_BYTES = 160,
    BASE64_BYTES = 216, /* what 160 bytes become */
    HEAD_BYTES = 32,    /* of the payload: half a byte of the frame's head in each */
    BODY_WORDS = 16,    /* the payload behind its head, in 64-bit words */
    SPELL_FRAMES = 60,  /* a talker talks for three such spells, and is silent for two */
    PERIOD_NS = 20000000,
    SLOT_NS = 10000, /* phases are spread over the period in steps of 10 us */
    SLOTS = PERIOD_NS / SLOT_NS,
    SLOTS_PER_TURN = 50, /* a late loop still reads between two bursts */
    INBOX_BYTES = 8192,
    OUTBOX_BYTES = 1024,
    MESSAGE_BYTES = 640, /* the longest message sent: a carrier's media message is about 390 */
    STREAM_SID_BYTES = 40,
    MARK_BYTES = 128,
    BYTE_NS = 125000, /* a byte of mu-law lasts 1/8000 s */
    LAST_TEXT_BYTES = 256,
    EVENTS_PER_TURN = 64,
    IDLE_MS = 1,
    HISTOGRAM_BUCKETS = 1920, /* 32 steps to each power of two of nanoseconds: 3 % resolution */
};

enum opcode { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum role { BROWSER, CARRIER };

/* What happened, since the generator was made. Mirrored by `_Counts` in generator.py. */
struct counts {
    uint64_t sent, received;
    uint64_t lost; /* skipped over by a later frame, or not arrived when the snapshot is taken */
    uint64_t duplicated, reordered;
    uint64_t corrupted; /* audio that was never sent on this call, or was changed on its way */
    uint64_t invented;  /* the same at the carrier, where a playout model may fill a gap: what it
                           replaced is lost; silence that gives it a lead is not counted */
    uint64_t skipped;   /* not sent: the server does not read */
    uint64_t closed;    /* legs that the server ended */
    uint64_t clears;    /* orders to the carrier to throw audio away */
    uint64_t events, marks, pings;
};

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t max_ns;
};

/* Mirrored by `_Snapshot` in generator.py. */
struct snapshot {
    struct counts counts;
    struct histogram latency;  /* from the write on one leg to the read on the other */
    struct histogram lateness; /* of the generator's own writes, behind their due time */
    char last_text[LAST_TEXT_BYTES]; /* last control message on the leg that closed first */
};

struct leg {
    int fd; /* -1 once closed */
    enum role role;
    struct leg *peer, *next_in_slot;
    uint64_t seed; /* of the bodies that this leg sends */
    uint32_t call_index;
    uint32_t sent;     /* sequence number of the next frame to send */
    uint32_t end;      /* of the first one that is not of the window, once that has ended */
    uint32_t expected; /* sequence number of the next frame to arrive */
    uint64_t seen;     /* bit i: frame `expected - 1 - i` has arrived */
    uint64_t added_ns;
    uint64_t played_ns; /* when a carrier will have played all that it was sent */
    uint64_t mark_ns;   /* when the mark that it keeps is due; none while `mark` is empty */
    char mark[MARK_BYTES];
    bool settling; /* until a frame arrives as it was sent: the first after a silence fades in */
    char stream_sid[STREAM_SID_BYTES];
    char last_text[LAST_TEXT_BYTES];
    size_t inbox_bytes, outbox_bytes;
    uint8_t inbox[INBOX_BYTES], outbox[OUTBOX_BYTES];
};

struct new_call {
    int browser_fd, carrier_fd;
    const char *stream_sid;
    uint64_t seed;
};

enum command { ADD_CALL, START_WINDOW, END_WINDOW, TAKE_SNAPSHOT, SPIN, IDLE, STOP };

struct mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    atomic_bool full;
    enum command command;
    void *argument;
    int result;
};

struct generator {
    int epoll_fd;
    uint32_t calls, calls_max;
    struct leg **legs; /* one pair for each call */
    struct leg *slots[SLOTS];
    uint32_t slot;
    uint64_t slot_due_ns;
    bool spinning, running, finished;
    bool ended;           /* the window: what is still under way is waited for */
    uint64_t taken_later; /* frames that were sent after its end */
    struct snapshot totals;
    struct mailbox mailbox;
};

static uint64_t monotonic_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* splitmix64 (Steele, Lea, Flood 2014): enough to make every body unlike every other. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void record(struct histogram *histogram, uint64_t value_ns)
{
    uint64_t index = value_ns;
    if (value_ns >= 32) {
        unsigned exponent = 63u - (unsigned)__builtin_clzll(value_ns);
        index = (exponent - 4u) * 32u + ((value_ns >> (exponent - 5u)) & 31u);
    }
    histogram->buckets[index]++;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
}

/* ---- payloads: call index, sequence, time of sending, and a body that depends on all three ----

   Loud noise while the call's browser or phone talks, faint noise while it is silent, as speech has
   its pauses: a playout model takes away in them what the network has piled up. */

static void write_head(uint8_t *payload, uint32_t call, uint32_t sequence, uint64_t sent_ns)
{
    uint8_t head[HEAD_BYTES / 2];
    memcpy(head, &call, 4);
    memcpy(head + 4, &sequence, 4);
    memcpy(head + 8, &sent_ns, 8);
    for (int i = 0; i < HEAD_BYTES; i++)
        payload[i] = 0xf0 | (head[i / 2] >> 4 * (i % 2) & 15);
}

static void read_head(const uint8_t *payload, uint32_t *call, uint32_t *sequence, uint64_t *sent_ns)
{
    uint8_t head[HEAD_BYTES / 2];
    for (int i = 0; i < HEAD_BYTES / 2; i++)
        head[i] = (uint8_t)((payload[2 * i] & 15) | payload[2 * i + 1] << 4);
    memcpy(call, head, 4);
    memcpy(sequence, head + 4, 4);
    memcpy(sent_ns, head + 8, 8);
}

static void write_payload(uint8_t *payload, uint64_t seed, uint32_t call, uint32_t sequence,
                          uint64_t sent_ns)
{
    uint64_t state = seed ^ ((uint64_t)sequence << 32) ^ (sent_ns * 0xd6e8feb86659fd93u) ^ call;
    bool is_talking = (sequence / SPELL_FRAMES + call) % 5 < 3;
    write_head(payload, call, sequence, sent_ns);
    for (int i = 0; i < BODY_WORDS; i++) {
        uint64_t word = next_random(&state);
        if (!is_talking) /* mu-law of at most 120, some -49 dB below the loudest */
            word = (word & 0x8f8f8f8f8f8f8f8fu) | 0x7070707070707070u;
        memcpy(payload + HEAD_BYTES + 8 * i, &word, 8);
    }
}

/* Whether the 160 bytes are a frame that the other leg of this call has sent. */
static bool is_genuine(const struct leg *leg, const uint8_t *payload, uint32_t *sequence,
                       uint64_t *sent_ns)
{
    uint8_t wanted[PAYLOAD_BYTES];
    uint32_t call;
    read_head(payload, &call, sequence, sent_ns);
    if (*sequence >= leg->peer->sent)
        return false;
    write_payload(wanted, leg->peer->seed, leg->call_index, *sequence, *sent_ns);
    return memcmp(wanted, payload, PAYLOAD_BYTES) == 0;
}

static const char BASE64_ALPHABET[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static int8_t base64_values[256];

__attribute__((constructor)) static void make_base64_values(void)
{
    memset(base64_values, -1, sizeof base64_values);
    for (int i = 0; i < 64; i++)
        base64_values[(uint8_t)BASE64_ALPHABET[i]] = (int8_t)i;
}

static void encode_base64(char *text, const uint8_t *payload)
{
    uint8_t padded[PAYLOAD_BYTES + 2] = {0};
    memcpy(padded, payload, PAYLOAD_BYTES);
    for (int i = 0; i < PAYLOAD_BYTES; i += 3, text += 4) {
        uint32_t group = (uint32_t)padded[i] << 16 | (uint32_t)padded[i + 1] << 8 | padded[i + 2];
        for (int j = 0; j < 4; j++)
            text[j] = BASE64_ALPHABET[group >> (18 - 6 * j) & 63];
    }
    text[-2] = text[-1] = '='; /* 160 = 53 * 3 + 1: the last group holds one byte */
}

static bool decode_base64(uint8_t *payload, const char *text, size_t text_bytes)
{
    uint8_t padded[PAYLOAD_BYTES + 2];
    if (text_bytes != BASE64_BYTES || memcmp(text + BASE64_BYTES - 2, "==", 2) != 0)
        return false;
    for (int i = 0, o = 0; i < BASE64_BYTES; i += 4, o += 3) {
        uint32_t group = 0;
        for (int j = 0; j < 4; j++) {
            bool padding = i + j >= BASE64_BYTES - 2;
            int8_t value = padding ? 0 : base64_values[(uint8_t)text[i + j]];
            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        padded[o] = (uint8_t)(group >> 16);
        padded[o + 1] = (uint8_t)(group >> 8);
        padded[o + 2] = (uint8_t)group;
    }
    memcpy(payload, padded, PAYLOAD_BYTES);
    return true;
}

/* ---- sending ---- */

static void close_leg(struct generator *generator, struct leg *leg)
{
    if (leg->fd < 0)
        return;
    if (generator->totals.counts.closed++ == 0)
        memcpy(generator->totals.last_text, leg->last_text, LAST_TEXT_BYTES);
    close(leg->fd); /* also leaves the epoll set */
    leg->fd = -1;
}

/* Send what waits. True when nothing is left of it. */
static bool flush_outbox(struct generator *generator, struct leg *leg)
{
    if (leg->outbox_bytes == 0)
        return true;
    ssize_t done = send(leg->fd, leg->outbox, leg->outbox_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN && errno != EINTR) {
        close_leg(generator, leg);
        return false;
    }
    if (done > 0) {
        leg->outbox_bytes -= (size_t)done;
        memmove(leg->outbox, leg->outbox + done, leg->outbox_bytes);
    }
    return leg->outbox_bytes == 0;
}

/* Send one client message, masked (RFC 6455 section 5.3). False when it was not taken at all. */
static bool send_message(struct generator *generator, struct leg *leg, enum opcode opcode,
                         const uint8_t *payload, size_t payload_bytes, uint32_t mask)
{
    uint8_t frame[8 + MESSAGE_BYTES];
    size_t head = 2;
    /* The rest of the last frame goes first: in between, a new one would break the framing. */
    if (leg->fd < 0 || payload_bytes > MESSAGE_BYTES || !flush_outbox(generator, leg))
        return false;
    frame[0] = 0x80 | (uint8_t)opcode;
    frame[1] = 0x80 | (payload_bytes < 126 ? (uint8_t)payload_bytes : 126);
    if (payload_bytes >= 126) {
        frame[2] = (uint8_t)(payload_bytes >> 8);
        frame[3] = (uint8_t)payload_bytes;
        head = 4;
    }
    memcpy(frame + head, &mask, 4);
    for (size_t i = 0; i < payload_bytes; i++)
        frame[head + 4 + i] = payload[i] ^ frame[head + (i & 3)];
    size_t frame_bytes = head + 4 + payload_bytes;
    ssize_t done = send(leg->fd, frame, frame_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN && errno != EINTR) {
        close_leg(generator, leg);
        return false;
    }
    if (done <= 0)
        return false;
    leg->outbox_bytes = frame_bytes - (size_t)done;
    memcpy(leg->outbox, frame + done, leg->outbox_bytes);
    return true;
}

/* A carrier's media message, in Twilio's key order; the sequence number counts `start` as 1. */
static size_t write_carrier_media(char *message, const struct leg *leg, const uint8_t *payload,
                                  uint64_t now_ns)
{
    int head = snprintf(message, MESSAGE_BYTES,
                        "{\"event\":\"media\",\"sequenceNumber\":\"%u\",\"media\":{\"track\":"
                        "\"inbound\",\"chunk\":\"%u\",\"timestamp\":\"%llu\",\"payload\":\"",
                        leg->sent + 2, leg->sent + 1,
                        (unsigned long long)((now_ns - leg->added_ns) / 1000000u));
    encode_base64(message + head, payload);
    int tail = snprintf(message + head + BASE64_BYTES, MESSAGE_BYTES - head - BASE64_BYTES,
                        "\"},\"streamSid\":\"%s\"}", leg->stream_sid);
    return (size_t)(head + BASE64_BYTES + tail);
}

static void echo_mark(struct generator *generator, struct leg *leg)
{
    char message[MESSAGE_BYTES];
    int bytes = snprintf(message, sizeof message,
                         "{\"event\":\"mark\",\"sequenceNumber\":\"%u\",\"streamSid\":\"%s\",%s",
                         leg->sent + 2, leg->stream_sid, leg->mark);
    leg->mark[0] = 0;
    if (bytes > 0 && bytes < MESSAGE_BYTES)
        send_message(generator, leg, TEXT, (uint8_t *)message, (size_t)bytes, 0x5a3c96a5u);
}

static void send_audio(struct generator *generator, struct leg *leg, uint64_t due_ns)
{
    uint8_t payload[PAYLOAD_BYTES];
    char message[MESSAGE_BYTES];
    uint64_t now_ns = monotonic_ns();
    uint64_t state = leg->seed ^ now_ns;
    uint32_t mask = (uint32_t)next_random(&state);
    bool taken;
    write_payload(payload, leg->seed, leg->call_index, leg->sent, now_ns);
    if (leg->role == BROWSER) {
        taken = send_message(generator, leg, BINARY, payload, PAYLOAD_BYTES, mask);
    } else {
        if (leg->mark[0] && leg->mark_ns <= now_ns)
            echo_mark(generator, leg);
        size_t bytes = write_carrier_media(message, leg, payload, now_ns);
        taken = send_message(generator, leg, TEXT, (uint8_t *)message, bytes, mask);
    }
    if (!generator->ended)
        record(&generator->totals.lateness, now_ns - due_ns);
    if (!taken) {
        generator->totals.counts.skipped++;
        return;
    }
    leg->sent++;
    generator->totals.counts.sent++;
}

static void send_due(struct generator *generator)
{
    uint64_t now_ns = monotonic_ns();
    /* Idle, the loop may have slept through many slots; nothing is measured then. */
    int turns = generator->spinning ? SLOTS_PER_TURN : SLOTS;
    for (int turn = 0; turn < turns && generator->slot_due_ns <= now_ns; turn++) {
        for (struct leg *leg = generator->slots[generator->slot]; leg; leg = leg->next_in_slot)
            if (leg->fd >= 0)
                send_audio(generator, leg, generator->slot_due_ns);
        generator->slot = (generator->slot + 1) % SLOTS;
        generator->slot_due_ns += SLOT_NS;
    }
}

/* ---- receiving ---- */

/* Whether it is one that had not come yet. */
static bool take_sequence(struct counts *counts, struct leg *leg, uint32_t sequence)
{
    if (sequence >= leg->expected) {
        uint32_t step = sequence - leg->expected + 1;
        counts->lost += step - 1;
        leg->seen = step < 64 ? leg->seen << step | 1u : 1u;
        leg->expected = sequence + 1;
        counts->received++;
        return true;
    }
    /* Beyond the 64 frames that are remembered, late and twice cannot be told apart. */
    uint32_t age = leg->expected - 1 - sequence;
    if (age >= 64 || leg->seen >> age & 1u) {
        counts->duplicated++;
        return false;
    }
    leg->seen |= (uint64_t)1 << age;
    counts->lost--; /* counted when a later frame overtook it */
    counts->reordered++;
    counts->received++;
    return true;
}

static bool is_of_another_call(const struct generator *generator, const uint8_t *payload,
                               size_t payload_bytes)
{
    uint32_t call, sequence;
    uint64_t sent_ns;
    if (payload_bytes != PAYLOAD_BYTES)
        return false;
    read_head(payload, &call, &sequence, &sent_ns);
    return call < generator->calls &&
           is_genuine(&generator->legs[call][CARRIER], payload, &sequence, &sent_ns);
}

static void take_audio(struct generator *generator, struct leg *leg, const uint8_t *payload,
                       size_t payload_bytes)
{
    uint32_t sequence;
    uint64_t sent_ns;
    if (payload_bytes != PAYLOAD_BYTES || !is_genuine(leg, payload, &sequence, &sent_ns)) {
        if (leg->role == BROWSER || is_of_another_call(generator, payload, payload_bytes))
            generator->totals.counts.corrupted++;
        else if (!leg->settling)
            generator->totals.counts.invented++;
        return;
    }
    bool is_later = generator->ended && sequence >= leg->peer->end;
    if (!is_later)
        record(&generator->totals.latency, monotonic_ns() - sent_ns);
    if (leg->settling) {
        leg->settling = false;
        /* The first frame of all came faded in, and was not recognised: it is not lost. */
        if (sequence == leg->expected + 1)
            leg->expected = sequence;
    }
    generator->taken_later += take_sequence(&generator->totals.counts, leg, sequence) && is_later;
}

static const char *find(const char *text, size_t text_bytes, const char *wanted)
{
    return memmem(text, text_bytes, wanted, strlen(wanted));
}

/* The carrier plays 8 bytes a millisecond, and has all it was sent before until then. */
static void play(struct leg *leg, size_t payload_bytes)
{
    uint64_t now_ns = monotonic_ns();
    leg->played_ns = (leg->played_ns > now_ns ? leg->played_ns : now_ns) + payload_bytes * BYTE_NS;
}

/* Twilio echoes a mark when the audio before it has been played; a leg keeps one. */
static void take_mark(struct generator *generator, struct leg *leg, const char *text,
                      size_t text_bytes)
{
    const char *mark = find(text, text_bytes, "\"mark\":{");
    generator->totals.counts.marks++;
    if (!mark)
        return;
    snprintf(leg->mark, sizeof leg->mark, "%.*s", (int)(text + text_bytes - mark), mark);
    leg->mark_ns = leg->played_ns;
}

static bool is_silence(const char *text, size_t text_bytes)
{
    /* Three bytes of 0xff are four slashes; the last group may be cut. */
    for (size_t i = 0; i + 4 < text_bytes; i++)
        if (text[i] != '/')
            return false;
    return true;
}

static void take_text(struct generator *generator, struct leg *leg, const char *text,
                      size_t text_bytes)
{
    static const char KEY[] = "\"payload\":\"";
    uint8_t payload[PAYLOAD_BYTES];
    const char *start = find(text, text_bytes, KEY);
    if (start) {
        start += sizeof KEY - 1;
        size_t rest = (size_t)(text + text_bytes - start);
        const char *end = memchr(start, '"', rest);
        if (end)
            play(leg, (size_t)(end - start) / 4 * 3 - (end[-1] == '=') - (end[-2] == '='));
        if (end && is_silence(start, (size_t)(end - start)))
            return;
        /* Audio of another stream counts as damage, however whole it is. */
        bool intact = end && find(text, text_bytes, leg->stream_sid) &&
                      decode_base64(payload, start, (size_t)(end - start));
        take_audio(generator, leg, payload, intact ? PAYLOAD_BYTES : 0);
        return;
    }
    size_t kept = text_bytes < LAST_TEXT_BYTES - 1 ? text_bytes : LAST_TEXT_BYTES - 1;
    memcpy(leg->last_text, text, kept);
    leg->last_text[kept] = 0;
    generator->totals.counts.events++;
    if (leg->role == CARRIER && find(text, text_bytes, "\"event\":\"clear\""))
        generator->totals.counts.clears++;
    if (leg->role == CARRIER && find(text, text_bytes, "\"event\":\"mark\""))
        take_mark(generator, leg, text, text_bytes);
}

static void take_message(struct generator *generator, struct leg *leg, uint8_t first_byte,
                         const uint8_t *payload, size_t payload_bytes)
{
    switch (first_byte) {
    case 0x80 | BINARY:
        take_audio(generator, leg, payload, payload_bytes);
        break;
    case 0x80 | TEXT:
        take_text(generator, leg, (const char *)payload, payload_bytes);
        break;
    case 0x80 | PING:
        generator->totals.counts.pings++;
        send_message(generator, leg, PONG, payload, payload_bytes, 0x96a55a3cu);
        break;
    case 0x80 | PONG:
        break;
    case 0x80 | CLOSE:
        close_leg(generator, leg);
        break;
    default: /* fragments and reserved bits: no server here has cause to send them */
        generator->totals.counts.corrupted++;
    }
}

/* Take one frame from the front of `bytes`. Its length; 0 when incomplete, -1 when too long.
 * Masked frames are met where the server relays bytes and does not speak WebSocket. */
static ssize_t take_frame(struct generator *generator, struct leg *leg, uint8_t *bytes, size_t held)
{
    if (held < 2)
        return 0;
    size_t head = 2, payload_bytes = bytes[1] & 0x7f;
    bool masked = bytes[1] & 0x80;
    if (payload_bytes == 127) /* a length of eight bytes: longer than any inbox */
        return -1;
    if (payload_bytes == 126) {
        if (held < 4)
            return 0;
        payload_bytes = (size_t)bytes[2] << 8 | bytes[3];
        head = 4;
    }
    uint8_t *mask = bytes + head;
    head += masked ? 4 : 0;
    if (head + payload_bytes > INBOX_BYTES)
        return -1;
    if (held < head + payload_bytes)
        return 0;
    for (size_t i = 0; masked && i < payload_bytes; i++)
        bytes[head + i] ^= mask[i & 3];
    take_message(generator, leg, bytes[0], bytes + head, payload_bytes);
    return (ssize_t)(head + payload_bytes);
}

static void receive(struct generator *generator, struct leg *leg)
{
    ssize_t got = recv(leg->fd, leg->inbox + leg->inbox_bytes, INBOX_BYTES - leg->inbox_bytes,
                       MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        close_leg(generator, leg);
        return;
    }
    size_t held = leg->inbox_bytes + (size_t)got, taken = 0;
    while (leg->fd >= 0) {
        ssize_t step = take_frame(generator, leg, leg->inbox + taken, held - taken);
        if (step < 0) {
            generator->totals.counts.corrupted++;
            close_leg(generator, leg);
        }
        if (step <= 0)
            break;
        taken += (size_t)step;
    }
    leg->inbox_bytes = held - taken;
    memmove(leg->inbox, leg->inbox + taken, leg->inbox_bytes);
}

static void receive_ready(struct generator *generator)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int timeout_ms = generator->spinning ? 0 : IDLE_MS;
    int ready = epoll_wait(generator->epoll_fd, events, EVENTS_PER_TURN, timeout_ms);
    for (int i = 0; i < ready; i++) {
        struct leg *leg = events[i].data.ptr;
        if (leg->fd >= 0)
            receive(generator, leg);
    }
}

/* ---- commands ---- */

static int open_leg(struct generator *generator, struct leg *leg, struct leg *peer, int fd,
                    enum role role, const struct new_call *call)
{
    uint64_t random = call->seed + role;
    struct leg **slot = &generator->slots[next_random(&random) % SLOTS];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = leg};
    leg->fd = fd;
    leg->role = role;
    leg->peer = peer;
    leg->seed = next_random(&random);
    leg->call_index = generator->calls;
    leg->added_ns = monotonic_ns();
    snprintf(leg->stream_sid, sizeof leg->stream_sid, "%s", call->stream_sid);
    leg->next_in_slot = *slot; /* legs of one slot send one after the other, newest first */
    *slot = leg;
    return epoll_ctl(generator->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int add_call(struct generator *generator, const struct new_call *call)
{
    if (generator->calls == generator->calls_max)
        return -ENOSPC;
    struct leg *legs = calloc(2, sizeof *legs);
    if (!legs)
        return -ENOMEM;
    int failed = open_leg(generator, &legs[0], &legs[1], call->browser_fd, BROWSER, call);
    failed |= open_leg(generator, &legs[1], &legs[0], call->carrier_fd, CARRIER, call);
    legs[CARRIER].settling = true;
    generator->legs[generator->calls++] = legs;
    return failed;
}

/* Frames go on, as calls do not stop for anybody; those from here on are not of the window. */
static void end_window(struct generator *generator)
{
    for (uint32_t i = 0; i < 2 * generator->calls; i++) {
        struct leg *leg = &generator->legs[i / 2][i % 2];
        leg->end = leg->sent;
    }
    generator->ended = true;
    generator->taken_later = 0;
}

static void take_snapshot(struct generator *generator, struct snapshot *snapshot)
{
    *snapshot = generator->totals;
    snapshot->counts.received -= generator->taken_later;
    for (uint32_t i = 0; i < 2 * generator->calls; i++) {
        const struct leg *leg = &generator->legs[i / 2][i % 2];
        snapshot->counts.sent -= leg->sent - leg->end;
        if (leg->peer->end > leg->expected)
            snapshot->counts.lost += leg->peer->end - leg->expected;
    }
}

static int perform(struct generator *generator, enum command command, void *argument)
{
    switch (command) {
    case ADD_CALL:
        return add_call(generator, argument);
    case START_WINDOW: /* counts go on, for frames under way were sent before; latencies begin */
        *(struct counts *)argument = generator->totals.counts;
        memset(&generator->totals.latency, 0, sizeof generator->totals.latency);
        memset(&generator->totals.lateness, 0, sizeof generator->totals.lateness);
        generator->ended = false;
        break;
    case END_WINDOW:
        end_window(generator);
        break;
    case TAKE_SNAPSHOT:
        take_snapshot(generator, argument);
        break;
    case SPIN:
        generator->spinning = true;
        break;
    case IDLE:
        generator->spinning = false;
        break;
    case STOP:
        generator->running = false;
        break;
    }
    return 0;
}

static void empty_mailbox(struct generator *generator)
{
    struct mailbox *mailbox = &generator->mailbox;
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->result = perform(generator, mailbox->command, mailbox->argument);
    atomic_store(&mailbox->full, false);
    pthread_cond_broadcast(&mailbox->done);
    pthread_mutex_unlock(&mailbox->mutex);
}

/* ---- the interface ---- */

struct generator *generator_create(uint32_t calls_max)
{
    struct generator *generator = calloc(1, sizeof *generator);
    if (!generator)
        return NULL;
    generator->legs = calloc(calls_max, sizeof *generator->legs);
    generator->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!generator->legs || generator->epoll_fd < 0) {
        free(generator->legs);
        free(generator);
        return NULL;
    }
    generator->calls_max = calls_max;
    generator->running = true;
    pthread_mutex_init(&generator->mailbox.mutex, NULL);
    pthread_cond_init(&generator->mailbox.done, NULL);
    return generator;
}

/* Have the loop perform a command; returns when it is done, with its result or -EPIPE. */
int generator_submit(struct generator *generator, int command, void *argument)
{
    struct mailbox *mailbox = &generator->mailbox;
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->command = (enum command)command;
    mailbox->argument = argument;
    mailbox->result = -EPIPE; /* what is left if the loop has ended or ends meanwhile */
    atomic_store(&mailbox->full, true);
    while (atomic_load(&mailbox->full) && !generator->finished)
        pthread_cond_wait(&mailbox->done, &mailbox->mutex);
    int result = mailbox->result;
    pthread_mutex_unlock(&mailbox->mutex);
    return result;
}

/* Run the loop on the calling thread, pinned to `core` unless that is negative, until STOP. */
void generator_run(struct generator *generator, int core)
{
    if (core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(core, &cores);
        sched_setaffinity(0, sizeof cores, &cores);
    }
    generator->slot_due_ns = monotonic_ns();
    while (generator->running) {
        if (atomic_load_explicit(&generator->mailbox.full, memory_order_acquire))
            empty_mailbox(generator);
        send_due(generator);
        receive_ready(generator);
    }
    pthread_mutex_lock(&generator->mailbox.mutex);
    generator->finished = true;
    pthread_cond_broadcast(&generator->mailbox.done);
    pthread_mutex_unlock(&generator->mailbox.mutex);
}

/* Close every socket and free everything. The loop must have returned. */
void generator_destroy(struct generator *generator)
{
    for (uint32_t i = 0; i < generator->calls; i++) {
        for (int side = 0; side < 2; side++)
            if (generator->legs[i][side].fd >= 0)
                close(generator->legs[i][side].fd);
        free(generator->legs[i]);
    }
    close(generator->epoll_fd);
    pthread_cond_destroy(&generator->mailbox.done);
    pthread_mutex_destroy(&generator->mailbox.mutex);
    free(generator->legs);
    free(generator);
}
