/* peer.c - who is on the other end of a connection, as far as the socket says. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "net/conn.h"

void peer_describe_tcp(struct http_conn *conn)
{
    struct sockaddr_storage address;
    int size = sizeof(address);
    char text[INET6_ADDRSTRLEN] = "?";
    struct http_peer *peer = &conn->peer;
    if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&address, &size) != 0)
        return;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        snprintf(peer->address, sizeof(peer->address), "%s:%d", text, ntohs(in->sin_port));
        peer->is_loopback = (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)&address;
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
        snprintf(peer->address, sizeof(peer->address), "[%s]:%d", text, ntohs(in->sin6_port));
        peer->is_loopback = IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
    }
}

bool peer_describe_unix(struct http_conn *conn)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    int fd;
    if (uv_fileno(&conn->handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return false;
    conn->peer.is_unix = conn->peer.is_loopback = true;
    conn->peer.uid = credentials.uid;
    conn->peer.gid = credentials.gid;
    conn->peer.pid = credentials.pid;
    snprintf(conn->peer.address, sizeof(conn->peer.address), "unix");
    return true;
}
