/* What the compiled load generators share: sockets, CRC-32C, the bytes of a Produce request, latency figures.
 *
 * Only what a benchmark client needs of the Kafka protocol is here, written by hand, so that the client costs
 * next to nothing; no error is handled beyond saying it and ending.
 */
#ifndef MOLDAU_BENCH_WIRE_H
#define MOLDAU_BENCH_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(2);
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* --key value pairs; the default where the key is absent. */
static inline const char *option(int argc, char **argv, const char *key, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i += 2)
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, key) == 0) return argv[i + 1];
    if (!otherwise) {
        fprintf(stderr, "--%s is needed\n", key);
        exit(2);
    }
    return otherwise;
}

static inline int connect_to(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("address");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* ---- bytes ---- */

typedef struct {
    uint8_t *at;
    size_t size;
    size_t room;
} Buffer;

static inline void put(Buffer *b, const void *bytes, size_t size) {
    if (b->size + size > b->room) {
        b->room = (b->size + size) * 2;
        b->at = realloc(b->at, b->room);
        if (!b->at) die("memory");
    }
    if (bytes) memcpy(b->at + b->size, bytes, size);
    else memset(b->at + b->size, 'x', size);
    b->size += size;
}

static inline void put_int(Buffer *b, int64_t value, int width) {
    uint8_t bytes[8];
    for (int i = 0; i < width; i++) bytes[i] = (uint8_t)((uint64_t)value >> (8 * (width - 1 - i)));
    put(b, bytes, (size_t)width);
}

static inline void put_uvarint(Buffer *b, uint64_t value) {
    do {
        uint8_t byte = (uint8_t)(value & 0x7f);
        value >>= 7;
        if (value) byte |= 0x80;
        put(b, &byte, 1);
    } while (value);
}

static inline void put_varint(Buffer *b, int64_t value) { put_uvarint(b, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63)); }

static inline void put_compact(Buffer *b, const char *text) {
    put_uvarint(b, strlen(text) + 1);
    put(b, text, strlen(text));
}

static inline void patch_int(uint8_t *at, int64_t value, int width) {
    for (int i = 0; i < width; i++) at[i] = (uint8_t)((uint64_t)value >> (8 * (width - 1 - i)));
}

static inline int64_t get_int(const uint8_t *at, int width) {
    uint64_t value = (at[0] & 0x80) ? ~(uint64_t)0 : 0;
    for (int i = 0; i < width; i++) value = (value << 8) | at[i];
    return (int64_t)value;
}

static inline uint64_t get_uvarint(const uint8_t **at) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
}

static inline uint32_t crc32c(const uint8_t *at, size_t size) {
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ 0x82f63b78u : c >> 1;
            table[i] = c;
        }
    uint32_t crc = 0xffffffffu;
    while (size--) crc = table[(crc ^ *at++) & 0xff] ^ (crc >> 8);
    return crc ^ 0xffffffffu;
}

static inline int64_t wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One v2 batch of one record with a value of `size` bytes; *value_at is where the value starts in b. */
static inline void put_batch(Buffer *b, size_t size, size_t *value_at) {
    Buffer record = {0};
    put_int(&record, 0, 1);  /* attributes */
    put_varint(&record, 0);  /* timestamp delta */
    put_varint(&record, 0);  /* offset delta */
    put_varint(&record, -1); /* no key */
    put_varint(&record, (int64_t)size);
    size_t value_in_record = record.size;
    put(&record, NULL, size);
    put_varint(&record, 0); /* no headers */

    size_t start = b->size;
    put_int(b, 0, 8);  /* base offset */
    put_int(b, 0, 4);  /* length, patched below */
    put_int(b, -1, 4); /* leader epoch */
    put_int(b, 2, 1);  /* magic */
    put_int(b, 0, 4);  /* crc, patched below */
    put_int(b, 0, 2);  /* attributes */
    put_int(b, 0, 4);  /* last offset delta */
    put_int(b, wall_ms(), 8);
    put_int(b, wall_ms(), 8);
    put_int(b, -1, 8); /* producer id, epoch, sequence: none */
    put_int(b, -1, 2);
    put_int(b, -1, 4);
    put_int(b, 1, 4); /* count */
    put_varint(b, (int64_t)record.size);
    if (value_at) *value_at = b->size + value_in_record;
    put(b, record.at, record.size);
    patch_int(b->at + start + 8, (int64_t)(b->size - start - 12), 4);
    patch_int(b->at + start + 17, crc32c(b->at + start + 21, b->size - start - 21), 4);
    free(record.at);
}

static inline size_t batch_size(size_t value_size) {
    Buffer b = {0};
    put_batch(&b, value_size, NULL);
    free(b.at);
    return b.size;
}

/* A whole Produce frame (version 9 to 12) for one partition. The correlation id is at byte 8.
 * *batch_at and *value_at tell where the batch and the record's value start. */
static inline Buffer produce_frame(int version, const char *topic, int partition, int acks, size_t value_size, size_t *batch_at,
                            size_t *value_at) {
    Buffer b = {0};
    put_int(&b, 0, 4); /* frame size, patched below */
    put_int(&b, 0, 2);
    put_int(&b, version, 2);
    put_int(&b, 0, 4); /* correlation id */
    put_int(&b, 5, 2);
    put(&b, "bench", 5);
    put_uvarint(&b, 0); /* header tags */
    put_uvarint(&b, 0); /* null transactional id */
    put_int(&b, acks, 2);
    put_int(&b, 30000, 4);
    put_uvarint(&b, 2);
    put_compact(&b, topic);
    put_uvarint(&b, 2);
    put_int(&b, partition, 4);
    put_uvarint(&b, batch_size(value_size) + 1);
    if (batch_at) *batch_at = b.size;
    put_batch(&b, value_size, value_at);
    put_uvarint(&b, 0);
    put_uvarint(&b, 0);
    put_uvarint(&b, 0);
    patch_int(b.at, (int64_t)(b.size - 4), 4);
    return b;
}

/* The error code of a one-partition Produce answer (versions 9 to 12), frame size left out. */
static inline int produce_error(const uint8_t *answer) {
    const uint8_t *at = answer + 4; /* correlation id */
    get_uvarint(&at);               /* header tags */
    if (get_uvarint(&at) != 2) return -2;
    at += get_uvarint(&at) - 1;
    if (get_uvarint(&at) != 2) return -2;
    return (int)get_int(at + 4, 2);
}

/* ---- latencies ---- */

typedef struct {
    uint32_t *ns;
    size_t count;
    size_t room;
} Latencies;

static inline void note(Latencies *l, uint64_t ns) {
    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 1 << 20;
        l->ns = realloc(l->ns, l->room * sizeof *l->ns);
        if (!l->ns) die("memory");
    }
    l->ns[l->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static inline int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static inline double quantile_us(const Latencies *sorted, double q) {
    if (!sorted->count) return 0;
    size_t i = (size_t)(q * (double)sorted->count);
    if (i >= sorted->count) i = sorted->count - 1;
    return sorted->ns[i] / 1e3;
}

/* Sorts, then prints the figures as members of a JSON object (no braces). */
static inline void print_latencies(Latencies *l) {
    qsort(l->ns, l->count, sizeof *l->ns, by_value);
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f", quantile_us(l, 0.5),
           quantile_us(l, 0.9), quantile_us(l, 0.99), l->count ? l->ns[l->count - 1] / 1e3 : 0.0);
}

#endif
