/* health PORT: ask the server on this machine whether it is ready. Ends with 0 if it answers GET /readyz with
 * 200, else with 1: what HEALTHCHECK wants, in an image that has no shell and no curl. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static const char good[] = "HTTP/1.1 200 ";
    struct timeval limit = {.tv_sec = 2};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)atoi(argc > 1 ? argv[1] : "8080")),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[sizeof good] = "";

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        write(fd, request, sizeof request - 1) != (ssize_t)(sizeof request - 1))
        return EXIT_FAILURE;
    if (recv(fd, answer, sizeof good - 1, MSG_WAITALL) != (ssize_t)(sizeof good - 1))
        return EXIT_FAILURE;
    return strcmp(answer, good) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
