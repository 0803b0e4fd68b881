/* The least that a program does which reads an interface through libpcap: it counts the frames, and prints how many it were. */

#include <pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t is_over;
static unsigned long frames;

static void end(int number) {
    (void)number;
    is_over = 1;
}

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes) {
    (void)user, (void)header, (void)bytes;
    frames++;
}

int main(int argc, char **argv) {
    char fault[PCAP_ERRBUF_SIZE];
    pcap_t *capture = argc == 2 ? pcap_create(argv[1], fault) : NULL;
    if (!capture) return 2;
    pcap_set_promisc(capture, 1);
    pcap_set_snaplen(capture, 65535);
    pcap_set_timeout(capture, 1);
    pcap_set_buffer_size(capture, 64 << 20);
    if (pcap_activate(capture) < 0 || pcap_setnonblock(capture, 1, fault) < 0) return 1;
    signal(SIGTERM, end);
    fputs("ready\n", stderr);
    struct pollfd readable = {.fd = pcap_get_selectable_fd(capture), .events = POLLIN};
    while (!is_over) {
        poll(&readable, 1, 1000);
        pcap_dispatch(capture, -1, count, NULL);
    }
    fprintf(stderr, "frames %lu\n", frames);
    return 0;
}
