// What a Linux guest does for LinuxVsockTest: services at ports of its vsock device, each in a
// process of its own, and connections to the host.
//
// Data is numbers that follow from their place, so that both sides know what is right.

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

enum { ECHO = 1, SOURCE = 2, SINK = 3, DEAF = 4, CALL = 5, QUIT = 6, HOST_READY = 9, HOST_ECHO = 10 };
enum { MANY = 200, CHUNK = 1 << 16 };

static uint64_t words[CHUNK / 8];

static void fail(const char *what) {
    printf("complaint: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int listen_at(unsigned port) {
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (void *) &address, sizeof address) || listen(listener, MANY)) {
        fail("listen");
    }
    return listener;
}

static int connect_to(unsigned port) {
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    int connection = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (void *) &address, sizeof address)) {
        fail("connect");
    }
    return connection;
}

static void put(int to, const void *bytes, size_t count) {
    for (const char *at = bytes; count > 0;) {
        ssize_t done = write(to, at, count);
        if (done <= 0) {
            fail("write");
        }
        at += done;
        count -= done;
    }
}

static size_t get(int from, void *bytes, size_t count) {
    size_t all = 0;
    while (all < count) {
        ssize_t done = read(from, (char *) bytes + all, count - all);
        if (done < 0) {
            fail("read");
        }
        if (done == 0) {
            break;
        }
        all += done;
    }
    return all;
}

// Sends back what comes, and "bye" behind the end of it; all connections at once.
static void echo(int listener) {
    static struct pollfd all[MANY + 1];
    static char bytes[4096];
    int count = 1;
    all[0] = (struct pollfd) {listener, POLLIN, 0};
    for (;;) {
        if (poll(all, count, -1) < 0) {
            fail("poll");
        }
        for (int i = count - 1; i > 0; i--) {
            if (all[i].revents) {
                ssize_t got = read(all[i].fd, bytes, sizeof bytes);
                if (got > 0) {
                    put(all[i].fd, bytes, got);
                } else {
                    put(all[i].fd, "bye", 3);
                    close(all[i].fd);
                    all[i] = all[--count];
                }
            }
        }
        if (all[0].revents && count <= MANY) {
            all[count++] = (struct pollfd) {accept(listener, NULL, NULL), POLLIN, 0};
        }
    }
}

// Is told how many bytes, and sends them.
static void source(int connection) {
    uint64_t left, state = 1;
    get(connection, &left, sizeof left);
    while (left > 0) {
        for (int i = 0; i < CHUNK / 8; i++) {
            words[i] = next(&state);
        }
        size_t now = left < CHUNK ? left : CHUNK;
        put(connection, words, now);
        left -= now;
    }
}

// Takes all up to the end, and then says how many bytes there were and were right.
static void sink(int connection) {
    uint64_t right = 0, state = 1;
    size_t got;
    do {
        got = get(connection, words, CHUNK);
        for (size_t i = 0; i < got / 8; i++) {
            right += words[i] == next(&state) ? 8 : 0;
        }
    } while (got == CHUNK);
    put(connection, &right, sizeof right);
}

// Connects to the host many times at once, and sees whether what comes back is what was sent.
static void call(int connection) {
    static int all[MANY];
    uint64_t right = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        all[i] = connect_to(HOST_ECHO);
        put(all[i], &i, sizeof i);
        shutdown(all[i], SHUT_WR);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t answer[2];
        right += get(all[i], answer, sizeof answer) == sizeof i && answer[0] == i;
        close(all[i]);
    }
    put(connection, &right, sizeof right);
}

static void each(unsigned port, void (*serve)(int)) {
    int listener = listen_at(port);
    if (fork() == 0) {
        for (;;) {
            int connection = accept(listener, NULL, NULL);
            if (fork() == 0) {
                serve(connection);
                close(connection);
                exit(0);
            }
            close(connection);
        }
    }
    close(listener);
}

static void deaf(int connection) {
    char byte;
    get(connection, &byte, 1);
    pause();
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    int echoes = listen_at(ECHO);
    if (fork() == 0) {
        echo(echoes);
    }
    each(SOURCE, source);
    each(SINK, sink);
    each(DEAF, deaf);
    each(CALL, call);
    int quit = listen_at(QUIT);
    int ready = connect_to(HOST_READY);
    put(ready, "ready", 5);
    close(ready);
    get(accept(quit, NULL, NULL), words, 1);
    return 0;
}
