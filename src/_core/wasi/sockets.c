// SPDX-License-Identifier: Apache-2.0
// Sockets that the embedder hands in, and those that a listening one accepts: sock_accept, sock_recv, sock_send, sock_shutdown.
//
// The host's O_NONBLOCK is left as it is, for others may have the same socket: each call to the host says that it does not wait, and
// waiting is done by wasi_wait, which a deadline or a signal ends. accept() has no such word; see accept_now.

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

enum {
    CONNECTION_RIGHTS = RIGHT_FD_READ | RIGHT_FD_WRITE | RIGHT_FD_FDSTAT_SET_FLAGS | RIGHT_FD_FILESTAT_GET |
        RIGHT_POLL_FD_READWRITE | RIGHT_SOCK_SHUTDOWN,
};
enum { RECV_PEEK = 1, RECV_WAITALL = 2, RECV_TRUNCATED = 1, SHUT_READ = 1, SHUT_WRITE = 2 };

typedef struct socket_file {
    wasi_file base;
    int descriptor;  // owned
    bool listens;
} socket_file;

static const wasi_kind socket_kind;

static socket_file *socket_cast(wasi_file *self)
{
    return (socket_file *)self;
}

// Until it is ready; one that is not to wait says EAGAIN instead.
static int socket_wait(wasi_call *call, socket_file *self, short events)
{
    struct pollfd poll = {.fd = self->descriptor, .events = events};
    return self->base.fdflags & FDFLAG_NONBLOCK ? WASI_EAGAIN : wasi_wait(call->wasi, &poll, 1, WASI_FOREVER);
}

// The call to the host failed: WASI_OK if it is to be made again.
static int socket_failed(wasi_call *call, socket_file *self, short events)
{
    if (errno == EAGAIN) {
        return socket_wait(call, self, events);
    }
    return errno == EINTR ? wasi_check(call->wasi) : wasi_errno();
}

// Forget the first bytes: those that are done.
static void vectors_skip(struct iovec **vectors, int *count, size_t bytes)
{
    while (*count > 0 && bytes >= (*vectors)->iov_len) {
        bytes -= (*vectors)->iov_len;
        ++*vectors;
        --*count;
    }
    if (*count > 0) {
        (*vectors)->iov_base = (uint8_t *)(*vectors)->iov_base + bytes;
        (*vectors)->iov_len -= bytes;
    }
}

// --- receiving ---------------------------------------------------------------------------------------------------

// What comes next; *end tells of the stream's.
static int receive_once(wasi_call *call, socket_file *self, struct iovec *vectors, int count, int flags, size_t *done,
                        uint16_t *told, bool *end)
{
    for (;;) {
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = (size_t)count};
        ssize_t result = recvmsg(self->descriptor, &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (result >= 0) {
            *done = (size_t)result;
            *told = message.msg_flags & MSG_TRUNC ? RECV_TRUNCATED : 0;
            *end = result == 0;
            return WASI_OK;
        }
        int error = socket_failed(call, self, POLLIN);
        if (error != WASI_OK) {
            return error;
        }
    }
}

// All that there is room for, but for what ends the stream.
static int receive_all(wasi_call *call, socket_file *self, struct iovec *vectors, int count, size_t *done,
                       uint16_t *told)
{
    bool end = false;
    for (*done = 0; count > 0 && !end;) {
        size_t more = 0;
        int error = receive_once(call, self, vectors, count, 0, &more, told, &end);
        if (error != WASI_OK) {
            return error < 0 || *done == 0 ? error : WASI_OK;
        }
        *done += more;
        vectors_skip(&vectors, &count, more);
    }
    return WASI_OK;
}

// Look at as much as there is room for: no event says that there is enough, so this looks again and again.
static int peek_all(wasi_call *call, socket_file *self, struct iovec *vectors, int count, size_t wanted, size_t *done,
                    uint16_t *told)
{
    enum { PAUSE = 5 * 1000 * 1000 };
    for (;;) {
        bool end;
        struct pollfd poll = {.fd = self->descriptor, .events = POLLRDHUP};
        int error = receive_once(call, self, vectors, count, MSG_PEEK, done, told, &end);
        if (error == WASI_OK && *done < wanted && !end) {
            error = wasi_wait(call->wasi, &poll, 1, 0);
        }
        if (error != WASI_OK || *done >= wanted || end || poll.revents != 0 ||
            (self->base.fdflags & FDFLAG_NONBLOCK) != 0) {
            return error;
        }
        error = wasi_wait(call->wasi, NULL, 0, monotonic_now() + PAUSE);
        if (error != WASI_OK) {
            return error;
        }
    }
}

static int socket_receive(wasi_call *call, socket_file *self, struct iovec *vectors, int count, uint32_t flags,
                          size_t *done, uint16_t *told)
{
    size_t wanted = 0;
    for (int i = 0; i < count; i++) {
        wanted += vectors[i].iov_len;
    }
    *told = 0;
    if (self->base.filetype != FILETYPE_SOCKET_STREAM || (flags & RECV_WAITALL) == 0) {
        bool end;
        return wanted == 0 && self->base.filetype == FILETYPE_SOCKET_STREAM
                   ? WASI_OK
                   : receive_once(call, self, vectors, count, flags & RECV_PEEK ? MSG_PEEK : 0, done, told, &end);
    }
    return flags & RECV_PEEK ? peek_all(call, self, vectors, count, wanted, done, told)
                             : receive_all(call, self, vectors, count, done, told);
}

static int socket_read(wasi_call *call, wasi_file *self, struct iovec *vectors, int count, int64_t offset, size_t *done)
{
    uint16_t told;
    return offset >= 0 ? WASI_ESPIPE : socket_receive(call, socket_cast(self), vectors, count, 0, done, &told);
}

// --- sending -----------------------------------------------------------------------------------------------------

// All of it, unless it is not to wait.
static int socket_write(wasi_call *call, wasi_file *file, struct iovec *vectors, int count, int64_t offset,
                        size_t *done)
{
    socket_file *self = socket_cast(file);
    *done = 0;
    if (offset >= 0) {
        return WASI_ESPIPE;
    }
    for (;;) {
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = (size_t)count};
        ssize_t result = sendmsg(self->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (result < 0) {
            int error = socket_failed(call, self, POLLOUT);
            if (error != WASI_OK) {
                return error < 0 || *done == 0 ? error : WASI_OK;
            }
            continue;
        }
        *done += (size_t)result;
        vectors_skip(&vectors, &count, (size_t)result);
        if (count == 0 || file->filetype != FILETYPE_SOCKET_STREAM) {  // a message goes as a whole
            return WASI_OK;
        }
    }
}

// --- accepting ---------------------------------------------------------------------------------------------------

// A connection that is there, or -1 and errno: EAGAIN if there is none. Somebody else who has the socket may be faster, and accept()
// would then wait for the next connection, where no deadline ends it. So it is made not to wait for this moment, if it does.
static int accept_now(const socket_file *self)
{
    static pthread_mutex_t
        lock = PTHREAD_MUTEX_INITIALIZER;  // one after the other, or one takes the flag from the other
    pthread_mutex_lock(&lock);
    int flags = fcntl(self->descriptor, F_GETFL);
    bool waits = flags >= 0 && (flags & O_NONBLOCK) == 0;
    if (waits) {
        fcntl(self->descriptor, F_SETFL, flags | O_NONBLOCK);
    }
    int accepted = accept4(self->descriptor, NULL, NULL, SOCK_CLOEXEC);
    int error = errno;
    if (waits) {
        fcntl(self->descriptor, F_SETFL, flags);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return accepted;
}

static int socket_accept(wasi_call *call, socket_file *self, int *accepted)
{
    for (;;) {
        *accepted = accept_now(self);
        if (*accepted >= 0) {
            return WASI_OK;
        }
        // ECONNABORTED: it went away while it waited to be accepted.
        int error = errno == ECONNABORTED ? wasi_check(call->wasi) : socket_failed(call, self, POLLIN);
        if (error != WASI_OK) {
            return error;
        }
    }
}

// --- the rest ----------------------------------------------------------------------------------------------------

static void socket_close(wasi_file *self)
{
    close(socket_cast(self)->descriptor);
    free(self);
}

static int socket_stat(wasi_file *self, wasi_filestat *out)
{
    struct stat info;
    if (fstat(socket_cast(self)->descriptor, &info) < 0) {
        return wasi_errno();
    }
    filestat_fill(out, &info);
    out->filetype = self->filetype;
    return WASI_OK;
}

static int socket_set_flags(wasi_file *self, uint16_t fdflags)
{
    (void)self;
    return (fdflags & ~FDFLAG_NONBLOCK) != 0 ? WASI_ENOTSUP : WASI_OK;
}

static int socket_waits_for(wasi_file *self)
{
    return socket_cast(self)->descriptor;
}

static uint64_t socket_available(wasi_file *file)
{
    socket_file *self = socket_cast(file);
    int bytes = 0;
    if (self->listens) {
        return 1;  // a connection
    }
    return ioctl(self->descriptor, FIONREAD, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

static const wasi_kind socket_kind = {
    .close = socket_close,
    .stat = socket_stat,
    .read = socket_read,
    .write = socket_write,
    .set_flags = socket_set_flags,
    .waits_for = socket_waits_for,
    .available = socket_available,
};

wasi_file *socket_file_new(int descriptor)
{
    int type = 0, listens = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0) {
        return NULL;
    }
    socket_file *self = malloc(sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    uint64_t rights = CONNECTION_RIGHTS;
    if (listens) {
        rights = (rights & ~(uint64_t)(RIGHT_FD_READ | RIGHT_FD_WRITE)) | RIGHT_SOCK_ACCEPT;
    }
    file_begin(&self->base, &socket_kind, type == SOCK_STREAM ? FILETYPE_SOCKET_STREAM : FILETYPE_SOCKET_DGRAM, true,
               rights);
    self->descriptor = descriptor;
    self->listens = listens;
    return &self->base;
}

int aw_wasi_add_socket(aw_wasi *wasi, int host_descriptor)
{
    wasi_file *file = socket_file_new(host_descriptor);
    if (file == NULL) {
        close(host_descriptor);
        return -1;
    }
    uint32_t number;
    uint64_t inheriting = file->rights & RIGHT_SOCK_ACCEPT ? CONNECTION_RIGHTS : 0;
    return descriptor_add(wasi, file, file->rights, inheriting, &number) == WASI_OK ? 0 : -1;
}

// --- the functions -----------------------------------------------------------------------------------------------

static int socket_get(wasi_call *call, const aw_raw *number, uint64_t right, wasi_descriptor **out)
{
    int error = descriptor_get(call->wasi, number, right, out);
    if (error != WASI_OK) {
        return error;
    }
    return (*out)->file->kind == &socket_kind ? WASI_OK : WASI_ENOTSOCK;
}

int wasi_sock_accept(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    uint32_t fdflags = u32(&arguments[1]), number;
    int accepted, error = socket_get(call, &arguments[0], RIGHT_SOCK_ACCEPT, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    socket_file *self = socket_cast(descriptor->file);
    if (!self->listens || (fdflags & ~(uint32_t)FDFLAG_NONBLOCK) != 0) {
        return WASI_EINVAL;
    }
    if (guest_bytes(call, u32(&arguments[2]), 4) == NULL) {
        return WASI_EFAULT;
    }
    if (!descriptors_have_room(call->wasi)) {
        return WASI_EMFILE;
    }
    uint64_t rights = descriptor->inheriting;
    self->base.references++;  // the embedder's code may let the guest close it
    error = socket_accept(call, self, &accepted);
    file_release(&self->base);
    if (error != WASI_OK) {
        return error;
    }
    wasi_file *file = socket_file_new(accepted);
    if (file == NULL) {
        close(accepted);
        return WASI_ENOMEM;
    }
    file->fdflags = (uint16_t)fdflags;
    error = descriptor_add(call->wasi, file, rights & file->rights, 0, &number);
    call_refresh(call);
    return error != WASI_OK || guest_store(call, u32(&arguments[2]), &number, 4) ? error : WASI_EFAULT;
}

// The vectors of a receiving or sending call, whose results go to *result* and after: their number, or -errno.
static int vectors_of(wasi_call *call, const aw_raw *arguments, uint32_t result, struct iovec vectors[MOST_VECTORS])
{
    int count = vectors_get(call, u32(&arguments[1]), u32(&arguments[2]), vectors);
    return count >= 0 && guest_bytes(call, result, 4) == NULL ? -WASI_EFAULT : count;
}

int wasi_sock_recv(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    struct iovec vectors[MOST_VECTORS];
    uint32_t flags = u32(&arguments[3]);
    int error = socket_get(call, &arguments[0], RIGHT_FD_READ, &descriptor);
    int count = error == WASI_OK ? vectors_of(call, arguments, u32(&arguments[4]), vectors) : -error;
    if (count < 0) {
        return -count;
    }
    if (guest_bytes(call, u32(&arguments[5]), 2) == NULL) {
        return WASI_EFAULT;
    }
    if ((flags & ~(uint32_t)(RECV_PEEK | RECV_WAITALL)) != 0) {
        return WASI_EINVAL;
    }
    wasi_file *file = descriptor->file;
    size_t done = 0;
    uint16_t told = 0;
    file->references++;
    error = socket_receive(call, socket_cast(file), vectors, count, flags, &done, &told);
    file_release(file);
    if (error != WASI_OK) {
        return error;
    }
    call_refresh(call);
    uint32_t length = (uint32_t)done;
    return guest_store(call, u32(&arguments[4]), &length, 4) && guest_store(call, u32(&arguments[5]), &told, 2)
               ? WASI_OK
               : WASI_EFAULT;
}

int wasi_sock_send(wasi_call *call, const aw_raw *arguments)
{
    wasi_descriptor *descriptor;
    struct iovec vectors[MOST_VECTORS];
    int error = socket_get(call, &arguments[0], RIGHT_FD_WRITE, &descriptor);
    int count = error == WASI_OK ? vectors_of(call, arguments, u32(&arguments[4]), vectors) : -error;
    if (count < 0) {
        return -count;
    }
    if (u32(&arguments[3]) != 0) {
        return WASI_EINVAL;
    }
    wasi_file *file = descriptor->file;
    size_t done = 0;
    file->references++;
    error = socket_write(call, file, vectors, count, -1, &done);
    file_release(file);
    if (error != WASI_OK) {
        return error;
    }
    call_refresh(call);
    uint32_t length = (uint32_t)done;
    return guest_store(call, u32(&arguments[4]), &length, 4) ? WASI_OK : WASI_EFAULT;
}

int wasi_sock_shutdown(wasi_call *call, const aw_raw *arguments)
{
    static const int hows[] = {0, SHUT_RD, SHUT_WR, SHUT_RDWR};
    wasi_descriptor *descriptor;
    uint32_t how = u32(&arguments[1]);
    int error = socket_get(call, &arguments[0], RIGHT_SOCK_SHUTDOWN, &descriptor);
    if (error != WASI_OK) {
        return error;
    }
    if (how == 0 || how > (SHUT_READ | SHUT_WRITE)) {
        return WASI_EINVAL;
    }
    return shutdown(socket_cast(descriptor->file)->descriptor, hows[how]) < 0 ? wasi_errno() : WASI_OK;
}
