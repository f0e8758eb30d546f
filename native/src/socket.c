// What sockets need outside of the ring: making, binding and naming them.
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include "instance.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_MAX 256

/** The size of the sockaddr of an IPv4 or IPv6 literal, 0 when it is none. */
static socklen_t parse_literal(const char *host, uint32_t port, struct sockaddr_storage *out) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  struct addrinfo *found = NULL;
  char service[16];
  snprintf(service, sizeof service, "%u", port);
  if (getaddrinfo(host, service, &hints, &found) != 0) return 0;
  socklen_t size = found->ai_addrlen;
  memcpy(out, found->ai_addr, size);
  freeaddrinfo(found);
  return size;
}

/** Blocking on purpose: on a non-blocking descriptor the ring would report -EAGAIN instead of waiting. */
static int stream_socket(int family) {
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd;
}

static void set_no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/** listen(host, port, backlog): fd or -errno; -EINVAL when the host is no literal */
static napi_value listen_at(napi_env env, napi_callback_info info) {
  napi_value args[3];
  instance *self = arguments(env, info, 3, args);
  char host[HOST_MAX];
  if (!to_string(env, args[0], host, sizeof host)) return NULL;
  struct sockaddr_storage address;
  socklen_t size = parse_literal(host, to_u32(env, args[1]), &address);
  if (size == 0) return number(env, -EINVAL);
  int fd = stream_socket(address.ss_family);
  if (fd < 0) return number(env, -errno);
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, (int)to_u32(env, args[2])) != 0) {
    int error = errno;
    close(fd);
    return number(env, -error);
  }
  return number(env, own(self, fd));
}

/** localPort(fd): port or -errno */
static napi_value local_port(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getsockname((int)to_u32(env, args[0]), (struct sockaddr *)&address, &size) != 0) return number(env, -errno);
  in_port_t port = address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                 : ((struct sockaddr_in *)&address)->sin_port;
  return number(env, ntohs(port));
}

/** socketAddress(host, port, out): the size of the sockaddr written to out, 0 when the host is no literal */
static napi_value socket_address(napi_env env, napi_callback_info info) {
  napi_value args[3];
  arguments(env, info, 3, args);
  char host[HOST_MAX];
  if (!to_string(env, args[0], host, sizeof host)) return NULL;
  struct sockaddr_storage address;
  socklen_t size = parse_literal(host, to_u32(env, args[1]), &address);
  void *out;
  size_t room;
  if (napi_get_typedarray_info(env, args[2], NULL, &room, &out, NULL, NULL) != napi_ok || room < size) {
    napi_throw_range_error(env, NULL, "no room for a socket address");
    return NULL;
  }
  memcpy(out, &address, size);
  return number(env, size);
}

/** socket(address): fd or -errno */
static napi_value make_socket(napi_env env, napi_callback_info info) {
  napi_value args[1];
  instance *self = arguments(env, info, 1, args);
  void *address;
  size_t size;
  if (napi_get_typedarray_info(env, args[0], NULL, &size, &address, NULL, NULL) != napi_ok || size < sizeof(sa_family_t)) {
    napi_throw_range_error(env, NULL, "not a socket address");
    return NULL;
  }
  sa_family_t family;
  memcpy(&family, address, sizeof family);
  int fd = own(self, stream_socket(family));
  if (fd >= 0) set_no_delay(fd);
  return number(env, fd);
}

/** accepted(fd): "host:port" of the peer, "" when it has gone already */
static napi_value accepted(napi_env env, napi_callback_info info) {
  napi_value args[1], text;
  instance *self = arguments(env, info, 1, args);
  int fd = own(self, (int)to_u32(env, args[0]));
  set_no_delay(fd);
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  char host[INET6_ADDRSTRLEN] = "", name[INET6_ADDRSTRLEN + 16] = "";
  if (getpeername(fd, (struct sockaddr *)&address, &size) == 0) {
    if (address.ss_family == AF_INET6) {
      struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
      bool mapped = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
      if (mapped) inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], host, sizeof host);
      else inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
      snprintf(name, sizeof name, mapped ? "%s:%u" : "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
      struct sockaddr_in *four = (struct sockaddr_in *)&address;
      inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
      snprintf(name, sizeof name, "%s:%u", host, ntohs(four->sin_port));
    }
  }
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text);
  return text;
}

/** shutdown(fd): 0 or -errno; a listener stops listening at once */
static napi_value shut_down(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  return number(env, shutdown((int)to_u32(env, args[0]), SHUT_RDWR) == 0 ? 0 : -errno);
}

void socket_exports(instance *self, napi_value exports) {
  set_function(self, exports, "listen", listen_at);
  set_function(self, exports, "localPort", local_port);
  set_function(self, exports, "socketAddress", socket_address);
  set_function(self, exports, "socket", make_socket);
  set_function(self, exports, "accepted", accepted);
  set_function(self, exports, "shutdown", shut_down);
}
