/* bench_load.c - a load generator for HTTP/1.1 over keep-alive connections to 127.0.0.1.
 *
 *     bench_load [--connections C] [--depth P] [--rate R] [--burst B] [--requests N] [--seconds S]
 *                [--cpu K] [--spin] PORT REQUEST...
 *
 * REQUEST are files with whole requests, head and body; batch after batch takes the next one. A
 * batch is P times that request in one write; a connection has one batch under way.
 *
 *     closed loop (no --rate)  every connection sends its next batch when the last one is answered
 *     open loop                R requests a second fall due, B batches (default 1) at a time,
 *                              whether or not earlier ones are answered
 *
 * In the open loop a latency counts from the moment the request fell due, so a stall of the server
 * is seen by all requests that should have been sent during it, not by one (no coordinated
 * omission). Latencies are kept one by one: quantiles are exact.
 *
 * --spin looks for replies without ever sleeping. A server pays for waking a client that sleeps,
 * on a virtual machine dearly, and a quick server finds it asleep less often than a slow one: with
 * --spin that is in nobody's CPU time.
 *
 * Ends after N requests or S seconds, and prints one JSON object. `failed` counts what was
 * not answered by 200: another status, a connection that broke, no answer within ANSWER_SECONDS.
 * Exit status 0 even then; 2 when it could not run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

enum {
    CONNECTIONS_MAX = 1024,
    DEPTH_MAX = 64,
    REQUEST_FILES_MAX = 16,
    REQUESTS_MAX = 16 * 1000 * 1000,
    RATE_MAX = 10 * 1000 * 1000,
    SECONDS_MAX = 3600,
    REQUEST_BYTES_MAX = 1 << 22,
    REPLY_HEAD_BYTES_MAX = 16 * 1024,
    READ_BYTES = 64 * 1024,
    FAILURES_MAX = 10000, /* a server that is gone ends the run */
    ANSWER_SECONDS = 5,
};

struct payload {
    char *bytes; /* depth copies of one request */
    size_t size;
};

struct link {
    int fd;
    const struct payload *batch;
    size_t sent;       /* bytes of the batch */
    int unanswered;    /* requests of the batch */
    int64_t due_ns;    /* of the batch */
    size_t body_left;  /* bytes of the current reply's body still to come */
    size_t head_bytes; /* of the current reply's head, so far */
    char head[REPLY_HEAD_BYTES_MAX];
    bool waits_to_write; /* EPOLLOUT is on */
};

struct load {
    int port, connections, depth, burst, cpu;
    int64_t rate, requests, seconds;
    bool is_spinning;
    struct payload payloads[REQUEST_FILES_MAX];
    int payload_count;
    int epoll;
    struct link *links;                 /* [connections] */
    struct link *idle[CONNECTIONS_MAX]; /* ring: the one that waits longest is next */
    int idle_first, idle_count;
    int64_t start_ns, end_ns;  /* nothing falls due from end_ns on */
    int64_t last_ns;           /* nothing is waited for from here on */
    int64_t batches, answered; /* begun; replies that came, whatever their status */
    int64_t not_200, broken, unanswered;
    int64_t reply_bytes;
    uint32_t *latencies; /* ns; UINT32_MAX is that or more: of replies by 200, [answered - not_200],
                            from the front; of others, [not_200], from the back */
    int64_t latency_max;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void refuse(const char *what)
{
    fprintf(stderr, "bench_load: %s\n", what);
    exit(2);
}

/* --- connections --------------------------------------------------------------------- */

static void watch(struct load *load, struct link *link, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};
    if (epoll_ctl(load->epoll, operation, link->fd, &event) != 0)
        die("epoll_ctl");
}

static void open_link(struct load *load, struct link *link)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)load->port)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(link->fd, F_SETFL, O_NONBLOCK);
    link->unanswered = 0;
    link->body_left = link->head_bytes = 0;
    link->waits_to_write = false;
    watch(load, link, EPOLL_CTL_ADD, EPOLLIN);
}

static void set_idle(struct load *load, struct link *link)
{
    load->idle[(load->idle_first + load->idle_count) % load->connections] = link;
    load->idle_count++;
}

static struct link *take_idle(struct load *load)
{
    struct link *link = load->idle[load->idle_first];
    load->idle_first = (load->idle_first + 1) % load->connections;
    load->idle_count--;
    return link;
}

/* What the batch still waited for has failed. */
static void break_link(struct load *load, struct link *link)
{
    load->broken += link->unanswered;
    if (load->broken + load->not_200 > FAILURES_MAX)
        refuse("the server fails too often; giving up");
    bool was_idle = link->unanswered == 0;
    close(link->fd);
    open_link(load, link);
    if (!was_idle)
        set_idle(load, link);
}

/* --- sending --------------------------------------------------------------------------- */

static void push(struct load *load, struct link *link)
{
    const struct payload *batch = link->batch;
    ssize_t n = send(link->fd, batch->bytes + link->sent, batch->size - link->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        break_link(load, link);
        return;
    }
    link->sent += n > 0 ? (size_t)n : 0;
    bool is_waiting = link->sent < batch->size;
    if (is_waiting != link->waits_to_write)
        watch(load, link, EPOLL_CTL_MOD, EPOLLIN | (is_waiting ? EPOLLOUT : 0));
    link->waits_to_write = is_waiting;
}

static void begin_batch(struct load *load, int64_t due_ns)
{
    struct link *link = take_idle(load);
    link->batch = &load->payloads[load->batches % load->payload_count];
    link->sent = 0;
    link->unanswered = load->depth;
    link->due_ns = due_ns;
    load->batches++;
    push(load, link);
}

/* When batch `index` of the open loop falls due. */
static int64_t due_of(const struct load *load, int64_t index)
{
    int64_t requests_before = index / load->burst * load->burst * load->depth;
    return load->start_ns + (int64_t)((__int128)requests_before * 1000000000 / load->rate);
}

/* Batches that fell due before the end are sent even when that is late. */
static bool has_more(const struct load *load, int64_t now)
{
    return load->batches * load->depth < load->requests &&
           (load->rate ? due_of(load, load->batches) : now) < load->end_ns;
}

static void send_due(struct load *load)
{
    int64_t now = clock_monotonic_ns();
    while (load->idle_count && has_more(load, now)) {
        int64_t due = load->rate ? due_of(load, load->batches) : now;
        if (due > now)
            return;
        begin_batch(load, due);
    }
}

/* --- replies ----------------------------------------------------------------------------- */

static void count_reply(struct load *load, struct link *link, int status)
{
    int64_t ns = clock_monotonic_ns() - link->due_ns;
    int64_t good = load->answered++ - load->not_200;
    load->not_200 += status != 200;
    load->latencies[status == 200 ? good : load->latency_max - load->not_200] =
        ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
    if (load->not_200 == 1 && status != 200)
        fprintf(stderr, "bench_load: %.*s\n", (int)link->head_bytes, link->head);
}

static size_t content_length(const char *head, size_t size)
{
    static const char name[] = "\ncontent-length:";
    for (size_t i = 0; i + sizeof(name) < size; i++)
        if (head[i] == '\n' && strncasecmp(head + i, name, sizeof(name) - 1) == 0)
            return strtoul(head + i + sizeof(name) - 1, NULL, 10);
    return 0;
}

/* Take one reply's head, or as much of it as there is; the number of bytes taken. */
static size_t take_head(struct load *load, struct link *link, const char *bytes, size_t size)
{
    size_t room = sizeof(link->head) - 1 - link->head_bytes;
    size_t take = size < room ? size : room;
    size_t before = link->head_bytes;
    memcpy(link->head + before, bytes, take);
    size_t from = before > 3 ? before - 3 : 0;
    const char *end = memmem(link->head + from, before + take - from, "\r\n\r\n", 4);
    if (!end) {
        link->head_bytes += take;
        if (take == 0)
            refuse("a reply's head is too large");
        return take;
    }
    link->head_bytes = (size_t)(end - link->head) + 4;
    link->head[link->head_bytes] = '\0';
    size_t taken = link->head_bytes - before;
    link->body_left = content_length(link->head, link->head_bytes);
    count_reply(load, link, (int)strtol(link->head + sizeof("HTTP/1.1"), NULL, 10));
    load->reply_bytes += (int64_t)(link->head_bytes + link->body_left);
    link->head_bytes = 0;
    return taken;
}

static bool take_replies(struct load *load, struct link *link, const char *bytes, size_t size)
{
    while (size) {
        if (!link->unanswered)
            return false; /* more than was asked for */
        size_t n = size < link->body_left ? size : link->body_left;
        if (n) {
            link->body_left -= n;
        } else {
            n = take_head(load, link, bytes, size);
            if (link->head_bytes)
                return true; /* the rest of it is still to come */
        }
        bytes += n;
        size -= n;
        if (link->body_left == 0 && --link->unanswered == 0)
            set_idle(load, link);
    }
    return true;
}

static void receive(struct load *load, struct link *link)
{
    char bytes[READ_BYTES];
    ssize_t n = recv(link->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !take_replies(load, link, bytes, (size_t)n))
        break_link(load, link);
}

/* --- the loop ---------------------------------------------------------------------------- */

/* How long nothing is due: until the next batch, or until the last answers are too late. */
static struct timespec patience(const struct load *load)
{
    int64_t now = clock_monotonic_ns();
    int64_t until = load->last_ns;
    if (load->rate && load->idle_count && has_more(load, now))
        until = due_of(load, load->batches);
    int64_t left = until > now && !load->is_spinning ? until - now : 0;
    return (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
}

static void run(struct load *load)
{
    struct epoll_event events[64];
    for (int64_t now = load->start_ns;
         now < load->last_ns && (has_more(load, now) || load->idle_count < load->connections);
         now = clock_monotonic_ns()) {
        send_due(load);
        struct timespec timeout = patience(load);
        int count = epoll_pwait2(load->epoll, events, 64, &timeout, NULL);
        if (count < 0 && errno != EINTR)
            die("epoll_pwait2");
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(load, link);
            if (events[i].events & EPOLLOUT && link->waits_to_write)
                push(load, link);
        }
    }
    for (int i = 0; i < load->connections; i++)
        load->unanswered += load->links[i].unanswered;
}

/* --- the report ---------------------------------------------------------------------------- */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_us(const uint32_t *sorted, int64_t count, double q)
{
    return count ? sorted[(int64_t)(q * (double)(count - 1))] / 1e3 : 0;
}

static void report_latency(const char *prefix, uint32_t *latencies, int64_t count)
{
    static const struct {
        const char *name;
        double q;
    } rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    qsort(latencies, (size_t)count, sizeof(*latencies), compare_u32);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        printf(", \"%s%s_us\": %.1f", prefix, rows[i].name,
               quantile_us(latencies, count, rows[i].q));
}

static void report(struct load *load)
{
    double seconds = (double)(clock_monotonic_ns() - load->start_ns) / 1e9;
    printf("{\"requests\": %lld, \"answered\": %lld, \"failed\": %lld, \"not_200\": %lld, "
           "\"broken\": %lld, \"unanswered\": %lld, \"seconds\": %.6f, \"per_second\": %.0f, "
           "\"reply_bytes\": %.1f",
           (long long)(load->batches * load->depth), (long long)load->answered,
           (long long)(load->not_200 + load->broken + load->unanswered), (long long)load->not_200,
           (long long)load->broken, (long long)load->unanswered, seconds,
           (double)load->answered / seconds,
           load->answered ? (double)load->reply_bytes / (double)load->answered : 0.0);
    report_latency("", load->latencies, load->answered - load->not_200);
    report_latency("refused_", load->latencies + load->latency_max - load->not_200, load->not_200);
    printf("}\n");
}

/* --- the command line ------------------------------------------------------------------------ */

static int64_t number(const char *text, int64_t min, int64_t max, const char *name)
{
    int64_t value;
    if (!str_to_i64(str_of(text), &value) || value < min || value > max) {
        fprintf(stderr, "bench_load: %s is a number from %lld to %lld, not '%s'\n", name,
                (long long)min, (long long)max, text);
        exit(2);
    }
    return value;
}

static void read_payload(struct load *load, const char *path)
{
    struct err err = {0};
    struct buf bytes;
    if (load->payload_count == REQUEST_FILES_MAX)
        refuse("too many REQUEST files");
    buf_init(&bytes, REQUEST_BYTES_MAX);
    if (file_read(path, REQUEST_BYTES_MAX, &bytes, &err))
        refuse(err.msg);
    struct payload *payload = &load->payloads[load->payload_count++];
    payload->size = bytes.len * (size_t)load->depth;
    payload->bytes = malloc(payload->size);
    if (!payload->bytes)
        die("malloc");
    for (int i = 0; i < load->depth; i++)
        memcpy(payload->bytes + (size_t)i * bytes.len, bytes.data, bytes.len);
    buf_done(&bytes);
}

static void pin(int cpu)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (cpu >= 0 && sched_setaffinity(0, sizeof(cpus), &cpus) != 0)
        die("sched_setaffinity");
}

static void parse(struct load *load, int argc, char **argv)
{
    static const struct option options[] = {
        {"connections", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'},
        {"rate", required_argument, NULL, 'r'},
        {"burst", required_argument, NULL, 'b'},
        {"requests", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"cpu", required_argument, NULL, 'k'},
        {"spin", no_argument, NULL, 'p'},
        {0},
    };
    *load = (struct load){.connections = 1,
                          .depth = 1,
                          .burst = 1,
                          .cpu = -1,
                          .requests = REQUESTS_MAX,
                          .seconds = 10};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            load->connections = (int)number(optarg, 1, CONNECTIONS_MAX, "--connections");
        else if (c == 'd')
            load->depth = (int)number(optarg, 1, DEPTH_MAX, "--depth");
        else if (c == 'r')
            load->rate = number(optarg, 1, RATE_MAX, "--rate");
        else if (c == 'b')
            load->burst = (int)number(optarg, 1, CONNECTIONS_MAX, "--burst");
        else if (c == 'n')
            load->requests = number(optarg, 1, REQUESTS_MAX, "--requests");
        else if (c == 's')
            load->seconds = number(optarg, 1, SECONDS_MAX, "--seconds");
        else if (c == 'k')
            load->cpu = (int)number(optarg, 0, CPU_SETSIZE - 1, "--cpu");
        else if (c == 'p')
            load->is_spinning = true;
        else
            exit(2);
    }
    if (argc - optind < 2)
        refuse("usage: bench_load [options] PORT REQUEST...");
    load->port = (int)number(argv[optind], 1, 65535, "PORT");
    for (int i = optind + 1; i < argc; i++)
        read_payload(load, argv[i]);
}

int main(int argc, char **argv)
{
    static struct load load;
    parse(&load, argc, argv);
    pin(load.cpu);
    prctl(PR_SET_TIMERSLACK, 1); /* ns: batches leave when they fall due */
    load.latency_max = load.requests + DEPTH_MAX;
    load.latencies = malloc((size_t)load.latency_max * sizeof(*load.latencies));
    load.links = calloc((size_t)load.connections, sizeof(*load.links));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!load.latencies || !load.links || load.epoll < 0)
        die("starting");
    for (int i = 0; i < load.connections; i++) {
        open_link(&load, &load.links[i]);
        set_idle(&load, &load.links[i]);
    }
    load.start_ns = clock_monotonic_ns();
    load.end_ns = load.start_ns + load.seconds * INT64_C(1000000000);
    load.last_ns = load.end_ns + ANSWER_SECONDS * INT64_C(1000000000);
    run(&load);
    report(&load);
    return 0;
}
