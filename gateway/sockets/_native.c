/* Reads and writes open media sockets past their transports, where Linux's epoll(7) is.
 *
 * Knows one shape only: a complete, unfragmented, masked data frame of RFC 6455 within the size
 * limit. It is unmasked and delivered right here. Whatever else a socket brings goes to its owner's
 * `data_received`, untouched and in order, and so does all that follows until the owner, who is
 * asked each time, takes frames again. gateway/sockets/fast_lane.py does the same without it.
 *
 * An owner has: on_binary(bytes), on_text(bytes), data_received(bytes), takes_frames,
 * peer_ended() for the end of the stream or its failure, handler_failed(exception),
 * frames_dropped(count, is_flooded) for frames beyond the budget (gateway/limits/frame_budget.py).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TEXT_FIN = 0x81,
    BINARY_FIN = 0x82,
    MASKED = 0x80,
    MASK_BYTES = 4,
    HEADER_BYTES_MAX = 10,
    EVENTS_MAX = 256,
    RECEIVE_BYTES = 16384, /* of one socket in one turn: 95 frames of 20 ms, mu-law */
    SEND_BYTES_MAX = 2048, /* 20 ms of audio take 640 at most */
    LINE_BYTES = 64,
    HELD_MAX = 16,
    KIB_BITS = 10,
};

enum verdict { TAKEN, DROPPED, FLOODED };

static PyObject *on_binary, *on_text, *data_received, *takes_frames, *peer_ended, *handler_failed,
    *frames_dropped;

/* All that a frame needs to be delivered, in one line of the cache: the owner is not looked at. */
typedef struct {
    PyObject *owner; /* NULL: not read here */
    PyObject *on_binary, *on_text; /* the owner's, while it takes frames */
    int bytes_max;
    uint8_t takes_frames; /* said so when it was last asked, and was given nothing else since */
    uint8_t is_text; /* what came last was: the next is most likely of its kind */
    uint32_t messages, bytes; /* since they were last taken, once a second */
    long long last_in_ns;
    long long taken_at_ns, excess_at_ns; /* as in frame_budget.py */
} __attribute__((aligned(LINE_BYTES))) Slot;

_Static_assert(sizeof(Slot) == LINE_BYTES, "a slot is one line of the cache");

typedef struct {
    PyObject_HEAD
    int epoll; /* -1 once closed */
    int is_polling;
    int descriptor;    /* being read, or -1 */
    PyObject *removed; /* its owner, if it was removed while being read: what came is still its */
    int size;
    long long frame_ns, burst_ns, excess_ns, excess_max_ns, excused_at_ns;
    Slot *slots; /* by descriptor */
    uint8_t *buffer;
} Poller;

/* Reading. */

static Slot *slot_of(Poller *self, long descriptor)
{
    if (descriptor < 0 || descriptor >= self->size || self->slots[descriptor].owner == NULL)
        return NULL;
    return &self->slots[descriptor];
}

static int call(PyObject *owner, PyObject *name, PyObject *argument);

/* Takes note of what an owner's call came to. Its fault is for the owner to end its connection
 * with, and for nobody else; only what ends the process is raised (-1). */
static int done(PyObject *owner, PyObject *outcome)
{
    if (outcome != NULL) {
        Py_DECREF(outcome);
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    int told = call(owner, handler_failed, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return told;
}

/* Calls what an owner has by this name, with one argument or none. */
static int call(PyObject *owner, PyObject *name, PyObject *argument)
{
    PyObject *outcome = argument == NULL ? PyObject_CallMethodNoArgs(owner, name)
                                         : PyObject_CallMethodOneArg(owner, name, argument);
    if (outcome == NULL && name == handler_failed && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_WriteUnraisable(owner);
        return 0;
    }
    return done(owner, outcome);
}

static int is_ascii(const uint8_t *text, Py_ssize_t size)
{
    uint64_t word;
    for (; size >= (Py_ssize_t)sizeof word; text += sizeof word, size -= sizeof word) {
        memcpy(&word, text, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            return 0;
    }
    for (; size > 0; text++, size--)
        if (*text & 0x80)
            return 0;
    return 1;
}

static int is_utf8(PyObject *payload)
{
    const uint8_t *text = (const uint8_t *)PyBytes_AS_STRING(payload);
    if (is_ascii(text, PyBytes_GET_SIZE(payload)))
        return 1;
    PyObject *decoded = PyUnicode_DecodeUTF8((const char *)text, PyBytes_GET_SIZE(payload), NULL);
    if (decoded == NULL)
        PyErr_Clear();
    Py_XDECREF(decoded);
    return decoded != NULL;
}

static void unmask(uint8_t *to, const uint8_t *from, Py_ssize_t size, const uint8_t *mask)
{
    /* memcpy, since neither side is aligned; compilers make single loads and stores of it. */
    uint64_t wide, word;
    memcpy(&wide, mask, MASK_BYTES);
    memcpy((uint8_t *)&wide + MASK_BYTES, mask, MASK_BYTES);
    Py_ssize_t at = 0;
    for (; at + (Py_ssize_t)sizeof word <= size; at += sizeof word) {
        memcpy(&word, from + at, sizeof word);
        word ^= wide;
        memcpy(to + at, &word, sizeof word);
    }
    for (; at < size; at++)
        to[at] = from[at] ^ mask[at % MASK_BYTES];
}

/* Returns the length of the payload of the frame that starts the data; 0 where it is none of ours. */
static Py_ssize_t plain_length(const uint8_t *data, Py_ssize_t size, Py_ssize_t bytes_max,
                               Py_ssize_t *header)
{
    if (size <= 2 + MASK_BYTES || (data[0] != TEXT_FIN && data[0] != BINARY_FIN))
        return 0;
    Py_ssize_t length = data[1] - MASKED; /* negative when it is not masked */
    *header = 2;
    if (length > 125) {
        /* A 64-bit length is over the limit, or padded. */
        length = length == 126 ? data[2] << 8 | data[3] : 0;
        *header = 4;
    }
    return length > 0 && length <= bytes_max && *header + MASK_BYTES + length <= size ? length : 0;
}

/* Returns its payload; NULL, without an error, where it is none of ours after all. */
static PyObject *plain_payload(const uint8_t *data, Py_ssize_t header, Py_ssize_t length)
{
    PyObject *payload = PyBytes_FromStringAndSize(NULL, length);
    if (payload == NULL) {
        PyErr_Clear();
        return NULL;
    }
    unmask((uint8_t *)PyBytes_AS_STRING(payload), data + header + MASK_BYTES, length,
           data + header);
    if (data[0] == TEXT_FIN && !is_utf8(payload))
        Py_CLEAR(payload);
    return payload;
}

static int hand_over(Poller *self, int descriptor, PyObject *owner, const uint8_t *data,
                     Py_ssize_t size)
{
    PyObject *rest = PyBytes_FromStringAndSize((const char *)data, size);
    if (rest == NULL) { /* out of memory: the stream has lost a part, so it ends */
        PyErr_Clear();
        return call(owner, peer_ended, NULL);
    }
    Slot *slot = slot_of(self, descriptor);
    /* The owner may keep the beginning of a frame, or a fragment: it is asked before the next. */
    if (slot != NULL && slot->owner == owner)
        slot->takes_frames = 0;
    int told = call(owner, data_received, rest);
    Py_DECREF(rest);
    return told;
}

static void swap(PyObject **one, PyObject **other)
{
    PyObject *was = *one;
    *one = *other;
    *other = was;
}

/* Asks the owner whether the next byte begins a frame to deliver, and which handlers take it. */
static void ask(Poller *self, int descriptor, PyObject *owner)
{
    PyObject *takes = PyObject_GetAttr(owner, takes_frames);
    PyObject *binary = takes == Py_True ? PyObject_GetAttr(owner, on_binary) : NULL;
    PyObject *text = binary != NULL ? PyObject_GetAttr(owner, on_text) : NULL;
    Slot *slot = slot_of(self, descriptor); /* its own code has run */
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(owner);
    else if (text != NULL && slot != NULL && slot->owner == owner) {
        slot->takes_frames = 1;
        swap(&slot->on_binary, &binary);
        swap(&slot->on_text, &text);
    }
    Py_XDECREF(takes);
    Py_XDECREF(binary);
    Py_XDECREF(text);
}

/* Returns the slot if what comes next from this socket may be a frame to deliver. Its handlers may
 * have removed it, or have others added, which moves all slots. */
static Slot *ours(Poller *self, int descriptor, PyObject *owner)
{
    Slot *slot = slot_of(self, descriptor);
    if (slot != NULL && slot->owner == owner && !slot->takes_frames) {
        ask(self, descriptor, owner);
        slot = slot_of(self, descriptor);
    }
    return slot != NULL && slot->owner == owner && slot->takes_frames ? slot : NULL;
}

static long long later(long long one, long long other)
{
    return one > other ? one : other;
}

/* Counts frames that have arrived, as FrameBudget.spend does. */
static enum verdict spend(const Poller *self, Slot *slot, long long now_ns, long frames)
{
    long long taken_at_ns = later(slot->taken_at_ns, now_ns) + frames * self->frame_ns;
    if (taken_at_ns - now_ns <= self->burst_ns) {
        slot->taken_at_ns = taken_at_ns;
        return TAKEN;
    }
    /* What is dropped does not fill the first bucket: a peer is heard again once it slows down. */
    slot->excess_at_ns = later(slot->excess_at_ns, now_ns) + frames * self->excess_ns;
    long long from_ns = later(self->excused_at_ns, now_ns);
    return slot->excess_at_ns - from_ns > self->excess_max_ns ? FLOODED : DROPPED;
}

static int tell_dropped(PyObject *owner, long count, int is_flooded)
{
    PyObject *number = PyLong_FromLong(count);
    if (number == NULL)
        return -1;
    PyObject *outcome = PyObject_CallMethodObjArgs(owner, frames_dropped, number,
                                                   is_flooded ? Py_True : Py_False, NULL);
    Py_DECREF(number);
    return done(owner, outcome);
}

/* The owner is borrowed: what removes it meanwhile leaves it in `removed`. */
static int take(Poller *self, int descriptor, PyObject *owner, Py_ssize_t size, long long now_ns)
{
    const uint8_t *data = self->buffer;
    int told = 0;
    long dropped = 0;
    enum verdict verdict = TAKEN;
    while (size > 0 && told == 0 && verdict != FLOODED) {
        Slot *slot = ours(self, descriptor, owner);
        Py_ssize_t header = 0;
        Py_ssize_t length = slot ? plain_length(data, size, slot->bytes_max, &header) : 0;
        Py_ssize_t extent = header + MASK_BYTES + length;
        verdict = length ? spend(self, slot, now_ns, 1 + (length >> KIB_BITS)) : TAKEN;
        if (verdict != TAKEN) {
            dropped++;
            data += extent;
            size -= extent;
            continue;
        }
        PyObject *payload = length ? plain_payload(data, header, length) : NULL;
        if (payload == NULL) {
            told = hand_over(self, descriptor, owner, data, size);
            break;
        }
        slot->messages++;
        slot->bytes += PyBytes_GET_SIZE(payload);
        slot->last_in_ns = now_ns;
        slot->is_text = data[0] == TEXT_FIN;
        /* Owned during the call: the leg may plug in another handler meanwhile. The slot is not
         * used after it, for it may have moved. */
        PyObject *handler = Py_NewRef(slot->is_text ? slot->on_text : slot->on_binary);
        told = done(owner, PyObject_CallOneArg(handler, payload));
        Py_DECREF(handler);
        Py_DECREF(payload);
        data += extent;
        size -= extent;
    }
    /* Once for the whole read: a flood must not cost a call of Python's for each frame. */
    if (dropped > 0 && told == 0)
        told = tell_dropped(owner, dropped, verdict == FLOODED);
    return told;
}

/* A socket is reported when something comes, not while there is something (EPOLLET): to find it
 * empty afterwards would cost a second look. Where more than one read is to be had, it is asked
 * about anew. */
enum { WATCHED = EPOLLIN | EPOLLRDHUP | EPOLLET };

static void report_again(Poller *self, int descriptor)
{
    struct epoll_event event = {.events = WATCHED, .data.fd = descriptor};
    epoll_ctl(self->epoll, EPOLL_CTL_MOD, descriptor, &event);
}

static int receive(Poller *self, const struct epoll_event *event, long long now_ns)
{
    int descriptor = event->data.fd;
    Slot *slot = slot_of(self, descriptor);
    if (slot == NULL) /* removed by another's handler in this very turn */
        return 0;
    ssize_t size = recv(descriptor, self->buffer, RECEIVE_BYTES, MSG_DONTWAIT);
    if (size == RECEIVE_BYTES || (size > 0 && event->events & ~EPOLLIN)
        || (size < 0 && errno == EINTR))
        report_again(self, descriptor);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    PyObject *owner = slot->owner;
    self->descriptor = descriptor;
    int told = size > 0 ? take(self, descriptor, owner, size, now_ns)
                        : call(owner, peer_ended, NULL);
    self->descriptor = -1;
    Py_CLEAR(self->removed);
    return told;
}

static void prefetch(const void *object, int lines)
{
    for (int line = 0; line < lines; line++)
        __builtin_prefetch((const char *)object + line * LINE_BYTES);
}

static PyObject *likely_handler(Poller *self, const struct epoll_event *event)
{
    Slot *slot = slot_of(self, event->data.fd);
    return slot == NULL ? NULL : slot->is_text ? slot->on_text : slot->on_binary;
}

static PyObject *likely_receiver(Poller *self, const struct epoll_event *event)
{
    PyObject *handler = likely_handler(self, event);
    return handler != NULL && PyCFunction_CheckExact(handler) ? PyCFunction_GET_SELF(handler) : NULL;
}

/* What an object holds lies right behind its head where it is compiled; what is no pointer does no
 * harm. */
static void prefetch_held(PyObject *object)
{
    void *const *held = (void *const *)(object + 1);
    Py_ssize_t size = Py_TYPE(object)->tp_basicsize - (Py_ssize_t)sizeof *object;
    for (Py_ssize_t at = 0; at < HELD_MAX && (at + 1) * (Py_ssize_t)sizeof *held <= size; at++)
        __builtin_prefetch(held[at]);
}

/* Of hundreds of sockets none is in the cache any more when its turn comes again. What the next
 * ones need is fetched while those before them are served: slot, handler, whose method it is, and
 * what that holds. */
static void fetch(Poller *self, const struct epoll_event *events, int count)
{
    PyObject *object;
    if (count > 4 && events[4].data.fd < self->size)
        prefetch(&self->slots[events[4].data.fd], 1);
    if (count > 3 && (object = likely_handler(self, &events[3])) != NULL)
        prefetch(object, 2);
    if (count > 2 && (object = likely_receiver(self, &events[2])) != NULL)
        prefetch(object, 3);
    if (count > 1 && (object = likely_receiver(self, &events[1])) != NULL)
        prefetch_held(object);
}

static PyObject *Poller_poll(Poller *self, PyObject *now)
{
    long long now_ns = PyLong_AsLongLong(now);
    if (now_ns == -1 && PyErr_Occurred())
        return NULL;
    if (self->is_polling) { /* there is one buffer */
        PyErr_SetString(PyExc_RuntimeError, "poll() was called from one of its own handlers");
        return NULL;
    }
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(self->epoll, events, EVENTS_MAX, 0), told = 0;
    if (count < 0 && errno != EINTR)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (count < 0)
        count = 0;
    self->is_polling = 1;
    Py_INCREF(self); /* the last socket to leave takes the reader's with it */
    int index = 0;
    for (; index < count && told == 0; index++) {
        fetch(self, events + index, count - index);
        told = receive(self, &events[index], now_ns);
    }
    /* Broken off by what ends the process: an edge that was not served would not come back. */
    for (; index < count; index++)
        report_again(self, events[index].data.fd);
    self->is_polling = 0;
    Py_DECREF(self);
    return told < 0 ? NULL : PyLong_FromLong(count);
}

/* Membership. */

static int make_room(Poller *self, int descriptor)
{
    if (descriptor < self->size)
        return 0;
    int size = (descriptor + 1 + 255) / 256 * 256;
    /* Not realloc, which would not keep slots on lines of the cache. */
    Slot *slots = aligned_alloc(LINE_BYTES, size * sizeof *slots);
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (self->size > 0)
        memcpy(slots, self->slots, self->size * sizeof *slots);
    memset(slots + self->size, 0, (size - self->size) * sizeof *slots);
    free(self->slots);
    self->slots = slots;
    self->size = size;
    return 0;
}

static void forget(Poller *self, Slot *slot)
{
    Slot was = *slot; /* what is let go of may run code that moves all slots */
    memset(slot, 0, sizeof *slot);
    if (slot - self->slots == self->descriptor && self->removed == NULL)
        self->removed = was.owner;
    else
        Py_XDECREF(was.owner);
    Py_XDECREF(was.on_binary);
    Py_XDECREF(was.on_text);
}

static PyObject *Poller_add(Poller *self, PyObject *arguments)
{
    int descriptor;
    PyObject *owner;
    Py_ssize_t bytes_max;
    if (!PyArg_ParseTuple(arguments, "iOn", &descriptor, &owner, &bytes_max))
        return NULL;
    if (descriptor < 0 || slot_of(self, descriptor) != NULL) {
        PyErr_Format(PyExc_ValueError, "descriptor %d cannot be added", descriptor);
        return NULL;
    }
    if (make_room(self, descriptor) < 0)
        return NULL;
    struct epoll_event event = {.events = WATCHED, .data.fd = descriptor};
    if (epoll_ctl(self->epoll, EPOLL_CTL_ADD, descriptor, &event) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    self->slots[descriptor] = (Slot){.owner = Py_NewRef(owner), .bytes_max = bytes_max};
    Py_RETURN_NONE;
}

static PyObject *Poller_remove(Poller *self, PyObject *number)
{
    Slot *slot = slot_of(self, PyLong_AsLong(number));
    if (PyErr_Occurred())
        return NULL;
    if (slot != NULL) {
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, (int)(slot - self->slots), NULL);
        forget(self, slot);
    }
    Py_RETURN_NONE;
}

static PyObject *Poller_excuse(Poller *self, PyObject *until)
{
    long long until_ns = PyLong_AsLongLong(until);
    if (until_ns == -1 && PyErr_Occurred())
        return NULL;
    self->excused_at_ns = until_ns;
    Py_RETURN_NONE;
}

static PyObject *Poller_spend(Poller *self, PyObject *arguments)
{
    long descriptor, frames;
    long long now_ns;
    if (!PyArg_ParseTuple(arguments, "lLl", &descriptor, &now_ns, &frames))
        return NULL;
    Slot *slot = slot_of(self, descriptor);
    return PyLong_FromLong(slot == NULL ? TAKEN : spend(self, slot, now_ns, frames));
}

static PyObject *Poller_ask_again(Poller *self, PyObject *number)
{
    Slot *slot = slot_of(self, PyLong_AsLong(number));
    if (PyErr_Occurred())
        return NULL;
    if (slot != NULL)
        slot->takes_frames = 0;
    Py_RETURN_NONE;
}

static PyObject *Poller_take_counts(Poller *self, PyObject *number)
{
    Slot *slot = slot_of(self, PyLong_AsLong(number));
    if (PyErr_Occurred())
        return NULL;
    if (slot == NULL)
        return Py_BuildValue("IIL", 0U, 0U, 0LL);
    PyObject *counts = Py_BuildValue("IIL", slot->messages, slot->bytes, slot->last_in_ns);
    if (counts != NULL)
        slot->messages = slot->bytes = 0;
    return counts;
}

static PyObject *Poller_fileno(Poller *self, PyObject *Py_UNUSED(none))
{
    return PyLong_FromLong(self->epoll);
}

static PyObject *Poller_close(Poller *self, PyObject *Py_UNUSED(none))
{
    if (self->epoll >= 0)
        close(self->epoll);
    self->epoll = -1;
    Py_RETURN_NONE;
}

static PyObject *Poller_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *none[] = {"", "", "", "", NULL};
    long long frame_ns = 0, burst = 0, excess_ns = 0, excess_max = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "|LLLL", none, &frame_ns, &burst,
                                     &excess_ns, &excess_max))
        return NULL;
    Poller *self = (Poller *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->epoll = self->descriptor = -1;
    self->frame_ns = frame_ns; /* 0: as many as come */
    self->burst_ns = burst * frame_ns;
    self->excess_ns = excess_ns;
    self->excess_max_ns = excess_max * excess_ns;
    self->buffer = PyMem_Malloc(RECEIVE_BYTES);
    if (self->buffer == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0) {
        Py_DECREF(self);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return (PyObject *)self;
}

static int Poller_traverse(Poller *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (int descriptor = 0; descriptor < self->size; descriptor++) {
        Py_VISIT(self->slots[descriptor].owner);
        Py_VISIT(self->slots[descriptor].on_binary);
        Py_VISIT(self->slots[descriptor].on_text);
    }
    return 0;
}

static int Poller_clear(Poller *self)
{
    for (int descriptor = 0; descriptor < self->size; descriptor++)
        forget(self, &self->slots[descriptor]);
    return 0;
}

static void Poller_dealloc(Poller *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Poller_clear(self);
    if (self->epoll >= 0)
        close(self->epoll);
    free(self->slots);
    PyMem_Free(self->buffer);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Writing. */

static Py_ssize_t write_header(uint8_t *header, uint8_t first, uint64_t length)
{
    int length_bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
    header[0] = first;
    header[1] = length_bytes == 0 ? (uint8_t)length : length_bytes == 2 ? 126 : 127;
    for (int index = 0; index < length_bytes; index++)
        header[2 + index] = (uint8_t)(length >> 8 * (length_bytes - 1 - index));
    return 2 + length_bytes;
}

/* Returns None, or what the kernel did not take. */
static PyObject *send_bytes(int descriptor, const char *data, Py_ssize_t size)
{
    /* MSG_NOSIGNAL: a peer that has gone is an error of this call, not a SIGPIPE. */
    ssize_t sent = send(descriptor, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == size)
        Py_RETURN_NONE;
    if (sent < 0) /* full, or failed: the transport finds out which */
        sent = 0;
    return PyBytes_FromStringAndSize(data + sent, size - sent);
}

PyDoc_STRVAR(send_data_doc,
"send_data(descriptor, data, /)\n--\n\n"
"Write this; return what the kernel did not take of it.");

static PyObject *send_data(PyObject *Py_UNUSED(module), PyObject *const *arguments,
                           Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "send_data() takes descriptor and data");
        return NULL;
    }
    int descriptor = (int)PyLong_AsLong(arguments[0]);
    if (PyErr_Occurred())
        return NULL;
    return send_bytes(descriptor, PyBytes_AS_STRING(arguments[1]), PyBytes_GET_SIZE(arguments[1]));
}

PyDoc_STRVAR(send_frame_doc,
"send_frame(descriptor, first, payload, /)\n--\n\n"
"Write an unmasked frame with this first byte; return what the kernel did not take of it.");

static PyObject *send_frame(PyObject *Py_UNUSED(module), PyObject *const *arguments,
                            Py_ssize_t count)
{
    if (count != 3 || !PyBytes_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "send_frame() takes descriptor, first byte and payload");
        return NULL;
    }
    int descriptor = (int)PyLong_AsLong(arguments[0]);
    uint8_t first = (uint8_t)PyLong_AsLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t length = PyBytes_GET_SIZE(arguments[2]);
    uint8_t frame[HEADER_BYTES_MAX + SEND_BYTES_MAX];
    Py_ssize_t header = write_header(frame, first, length);
    if (length > SEND_BYTES_MAX) { /* beyond the buffer: the transport sends all of it */
        PyObject *whole = PyBytes_FromStringAndSize((const char *)frame, header);
        PyBytes_Concat(&whole, arguments[2]);
        return whole;
    }
    memcpy(frame + header, PyBytes_AS_STRING(arguments[2]), length);
    return send_bytes(descriptor, (const char *)frame, header + length);
}

/* The module. */

static PyMethodDef poller_methods[] = {
    {"add", (PyCFunction)Poller_add, METH_VARARGS,
     "add($self, descriptor, owner, message_bytes_max, /)\n--\n\n"
     "Read this socket from now on. Raises OSError where the kernel will not watch it."},
    {"remove", (PyCFunction)Poller_remove, METH_O,
     "remove($self, descriptor, /)\n--\n\nNo longer read it; repeating it is harmless."},
    {"excuse", (PyCFunction)Poller_excuse, METH_O,
     "excuse($self, excused_at_ns, /)\n--\n\nKnow what a standstill excuses, as FrameBudget does."},
    {"spend", (PyCFunction)Poller_spend, METH_VARARGS,
     "spend($self, descriptor, now_ns, frames, /)\n--\n\n"
     "Count frames that its owner has taken; return 0 if it may, 1 to drop them, 2 to end it."},
    {"ask_again", (PyCFunction)Poller_ask_again, METH_O,
     "ask_again($self, descriptor, /)\n--\n\nWhat the owner is, or has, has changed."},
    {"take_counts", (PyCFunction)Poller_take_counts, METH_O,
     "take_counts($self, descriptor, /)\n--\n\n"
     "Return messages and payload bytes delivered since the last time, and when the last came."},
    {"poll", (PyCFunction)Poller_poll, METH_O,
     "poll($self, now_ns, /)\n--\n\n"
     "Read every socket that has something, once; return how many had, EVENTS_MAX at most."},
    {"fileno", (PyCFunction)Poller_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nReturn what is readable while one of the sockets is."},
    {"close", (PyCFunction)Poller_close, METH_NOARGS,
     "close($self, /)\n--\n\nGive the descriptor back; repeating it is harmless."},
    {NULL},
};

static PyType_Slot poller_slots[] = {
    {Py_tp_doc, "Poller(frame_ns=0, burst_frames=0, excess_ns=0, excess_frames_max=0, /)\n--\n\n"
                 "Reads the open media sockets of one loop."},
    {Py_tp_new, Poller_new},
    {Py_tp_dealloc, Poller_dealloc},
    {Py_tp_traverse, Poller_traverse},
    {Py_tp_clear, Poller_clear},
    {Py_tp_methods, poller_methods},
    {0, NULL},
};

static PyType_Spec poller_spec = {
    .name = "gateway.sockets._native.Poller",
    .basicsize = sizeof(Poller),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = poller_slots,
};

static PyMethodDef functions[] = {
    {"send_data", (PyCFunction)(void (*)(void))send_data, METH_FASTCALL, send_data_doc},
    {"send_frame", (PyCFunction)(void (*)(void))send_frame, METH_FASTCALL, send_frame_doc},
    {NULL},
};

static int execute(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &poller_spec, NULL);
    if (type == NULL)
        return -1;
    int added = PyModule_AddObjectRef(module, "Poller", type);
    Py_DECREF(type);
    if (added < 0 || PyModule_AddIntMacro(module, EVENTS_MAX) < 0)
        return -1;
    return (on_binary = PyUnicode_InternFromString("on_binary")) == NULL
                   || (on_text = PyUnicode_InternFromString("on_text")) == NULL
                   || (data_received = PyUnicode_InternFromString("data_received")) == NULL
                   || (takes_frames = PyUnicode_InternFromString("takes_frames")) == NULL
                   || (peer_ended = PyUnicode_InternFromString("peer_ended")) == NULL
                   || (handler_failed = PyUnicode_InternFromString("handler_failed")) == NULL
                   || (frames_dropped = PyUnicode_InternFromString("frames_dropped")) == NULL
               ? -1
               : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gateway.sockets._native",
    .m_doc = "Reads and writes open media sockets past their transports.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
