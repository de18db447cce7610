/* Moves the audio of WebRTC sessions between their UDP port and libsrtp, past Python.
 *
 * Knows one shape only: an RTP packet without padding, extension or CSRC (RFC 3550, 5.1) that comes
 * from an address of a session and names the source which that session hears. It is authenticated
 * and decrypted right here, and its fields are delivered. Whatever else the port brings goes to
 * `take` with its address, untouched. port.py, session.py and srtp.py do the same without it.
 *
 * A session has: take_packet(payload_type, sequence, timestamp, payload, now_ns) for what is
 * authentic, packet_refused(status) for what libsrtp refuses.
 */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE /* recvmmsg */
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
    PLAIN = 0x80,    /* first byte: version 2, and nothing but the fixed header before the payload */
    TYPE_BITS = 0x7f,
    RTCP_FROM = 192, /* second byte of RTCP (RFC 5761, 4) */
    RTCP_TO = 223,
    HEADER_BYTES = 12,
    PAYLOAD_BYTES_MAX = 960, /* as in session.py */
    TRAILER_BYTES = 148,     /* as in srtp.py */
    BATCH = 32,              /* datagrams of one read */
    HOST_BYTES_MAX = 64,
    PACKET_FIELDS = 5,
};

typedef int (*Cipher)(void *context, void *packet, int *size);

static Cipher protect, unprotect; /* libsrtp's, which pylibsrtp carries */
static PyObject *protect_error, *take_packet, *packet_refused;

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Address;

/* What one session's audio needs. */
typedef struct {
    PyObject_HEAD
    PyObject *session, *take_packet; /* NULL once closed */
    PyObject *transport;             /* keeps both contexts */
    void *in, *out;
    long long taken_at_ns, frame_ns, burst_ns; /* as in frame_budget.py; what is beyond is dropped */
    unsigned long excess;
    uint32_t source; /* the SSRC that is heard */
    int has_source;
    int descriptor; /* to send by; -1: to nowhere */
    socklen_t to_bytes;
    Address to;
} Line;

typedef struct {
    PyObject_HEAD
    int descriptor; /* -1 once closed */
    int is_reading;
    int datagram_bytes; /* capacity of each buffer */
    PyObject *take, *failed;
    PyObject *lines; /* by the bytes of an address, see `key_of` */
    uint8_t *buffers;
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    Address from[BATCH];
} Reader;

/* Numbers and addresses. */

static uint32_t word_at(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static void put_word(uint8_t *to, uint32_t word)
{
    word = htonl(word);
    memcpy(to, &word, sizeof word);
}

/* Reads a socket address of Python's; sets ValueError or TypeError where it is none. */
static socklen_t address_of(PyObject *tuple, Address *address)
{
    const char *host;
    unsigned int port, flow = 0, scope = 0;
    if (!PyArg_ParseTuple(tuple, "sI|II", &host, &port, &flow, &scope))
        return 0;
    memset(address, 0, sizeof *address);
    if (PyTuple_GET_SIZE(tuple) == 2) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1)
            return sizeof address->v4;
    } else {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        address->v6.sin6_flowinfo = htonl(flow);
        address->v6.sin6_scope_id = scope;
        if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1)
            return sizeof address->v6;
    }
    PyErr_SetString(PyExc_ValueError, "the host of an address is not numeric");
    return 0;
}

static PyObject *tuple_of(const Address *address)
{
    char host[HOST_BYTES_MAX];
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        return Py_BuildValue("(sI)", host, ntohs(address->v4.sin_port));
    }
    inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
    return Py_BuildValue("(sIII)", host, ntohs(address->v6.sin6_port),
                         ntohl(address->v6.sin6_flowinfo), address->v6.sin6_scope_id);
}

/* What tells one sender from another: host, port, and the network of a link-local host. */
static PyObject *key_of(const Address *address)
{
    if (address->any.sa_family == AF_INET) {
        uint32_t key[] = {address->v4.sin_addr.s_addr, address->v4.sin_port};
        return PyBytes_FromStringAndSize((char *)key, sizeof key);
    }
    uint32_t key[] = {0, 0, 0, 0, address->v6.sin6_port, address->v6.sin6_scope_id};
    memcpy(key, &address->v6.sin6_addr, sizeof address->v6.sin6_addr);
    return PyBytes_FromStringAndSize((char *)key, sizeof key);
}

/* One session. */

static PyObject *Line_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *none[] = {"", "", "", "", "", "", NULL};
    PyObject *session, *transport, *in, *out;
    long long frame_ns, burst;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "OOO!O!LL", none, &session, &transport,
                                     &PyLong_Type, &in, &PyLong_Type, &out, &frame_ns, &burst))
        return NULL;
    Line *self = (Line *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->descriptor = -1;
    self->frame_ns = frame_ns;
    self->burst_ns = burst * frame_ns;
    self->in = PyLong_AsVoidPtr(in);
    self->out = PyLong_AsVoidPtr(out);
    self->session = Py_NewRef(session);
    self->transport = Py_NewRef(transport);
    self->take_packet = PyObject_GetAttr(session, take_packet);
    if (PyErr_Occurred())
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int Line_traverse(Line *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->session);
    Py_VISIT(self->take_packet);
    Py_VISIT(self->transport);
    return 0;
}

/* The transport stays: a packet of this very line may be on its way through it. */
static int Line_clear(Line *self)
{
    self->descriptor = -1;
    self->has_source = 0;
    Py_CLEAR(self->take_packet);
    Py_CLEAR(self->session);
    return 0;
}

static void Line_dealloc(Line *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Line_clear(self);
    Py_CLEAR(self->transport);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Line_close(Line *self, PyObject *Py_UNUSED(none))
{
    Line_clear(self);
    Py_RETURN_NONE;
}

static PyObject *Line_hear(Line *self, PyObject *number)
{
    unsigned long source = PyLong_AsUnsignedLong(number);
    if (PyErr_Occurred())
        return NULL;
    self->source = (uint32_t)source;
    self->has_source = self->session != NULL;
    Py_RETURN_NONE;
}

static PyObject *Line_aim(Line *self, PyObject *arguments)
{
    int descriptor;
    PyObject *tuple;
    Address to;
    socklen_t size;
    if (!PyArg_ParseTuple(arguments, "iO!", &descriptor, &PyTuple_Type, &tuple)
        || (size = address_of(tuple, &to)) == 0)
        return NULL;
    self->descriptor = self->session != NULL ? descriptor : -1;
    self->to = to;
    self->to_bytes = size;
    Py_RETURN_NONE;
}

static PyObject *Line_excess(Line *self, void *Py_UNUSED(none))
{
    return PyLong_FromUnsignedLong(self->excess);
}

/* Takes payload type with marker, sequence number, timestamp, SSRC and payload. */
static PyObject *Line_send(Line *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != PACKET_FIELDS || !PyBytes_Check(arguments[4])
        || PyBytes_GET_SIZE(arguments[4]) > PAYLOAD_BYTES_MAX) {
        PyErr_SetString(PyExc_TypeError, "send() takes four numbers and a short payload");
        return NULL;
    }
    unsigned long fields[PACKET_FIELDS - 1];
    for (int index = 0; index < PACKET_FIELDS - 1; index++)
        fields[index] = PyLong_AsUnsignedLong(arguments[index]);
    if (PyErr_Occurred())
        return NULL;
    Py_ssize_t length = PyBytes_GET_SIZE(arguments[4]);
    /* Words, since libsrtp wants packets aligned. */
    uint32_t packet[(HEADER_BYTES + PAYLOAD_BYTES_MAX + TRAILER_BYTES) / sizeof(uint32_t)];
    uint8_t *data = (uint8_t *)packet;
    put_word(data, (uint32_t)PLAIN << 24 | (uint32_t)(fields[0] & 0xff) << 16
                       | (uint32_t)(fields[1] & 0xffff));
    put_word(data + 4, (uint32_t)fields[2]);
    put_word(data + 8, (uint32_t)fields[3]);
    memcpy(data + HEADER_BYTES, PyBytes_AS_STRING(arguments[4]), length);
    int size = HEADER_BYTES + (int)length;
    if (protect(self->out, packet, &size) != 0) {
        PyErr_SetString(protect_error, "A packet could not be protected.");
        return NULL;
    }
    ssize_t sent = sendto(self->descriptor, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL,
                          &self->to.any, self->to_bytes);
    return PyBool_FromLong(sent == size);
}

/* Counts a packet, as FrameBudget.spend does; returns whether it may be looked at. */
static int may_pass(Line *self, long long now_ns)
{
    long long from_ns = self->taken_at_ns > now_ns ? self->taken_at_ns : now_ns;
    if (from_ns + self->frame_ns - now_ns > self->burst_ns) {
        self->excess++;
        return 0;
    }
    self->taken_at_ns = from_ns + self->frame_ns;
    return 1;
}

/* Delivers a packet of the line's source, which is borrowed; returns what the session returned. */
static PyObject *deliver(Line *self, uint8_t *data, int size, PyObject *now)
{
    int status = unprotect(self->in, data, &size);
    if (status != 0) {
        PyObject *number = PyLong_FromLong(status), *session = Py_NewRef(self->session);
        PyObject *outcome =
            number == NULL ? NULL : PyObject_CallMethodOneArg(session, packet_refused, number);
        Py_XDECREF(number);
        Py_DECREF(session);
        return outcome;
    }
    /* In front of them a place that the call may use for the receiver of a bound method. */
    PyObject *fields[1 + PACKET_FIELDS] = {
        NULL,
        PyLong_FromLong(data[1] & TYPE_BITS),
        PyLong_FromLong(data[2] << 8 | data[3]),
        PyLong_FromUnsignedLong(word_at(data + 4)),
        PyBytes_FromStringAndSize((char *)data + HEADER_BYTES, size - HEADER_BYTES),
        Py_NewRef(now),
    };
    PyObject *outcome = NULL;
    if (!PyErr_Occurred()) {
        /* Owned during the call, in which the session may end. */
        PyObject *taker = Py_NewRef(self->take_packet);
        outcome = PyObject_Vectorcall(taker, fields + 1,
                                      PACKET_FIELDS | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(taker);
    }
    for (int index = 1; index <= PACKET_FIELDS; index++)
        Py_XDECREF(fields[index]);
    return outcome;
}

/* One port. */

static PyObject *Reader_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    static char *none[] = {"", "", "", "", NULL};
    int descriptor, bytes_max;
    PyObject *take, *failed;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "iiOO", none, &descriptor, &bytes_max, &take,
                                     &failed))
        return NULL;
    Reader *self = (Reader *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->descriptor = descriptor;
    self->take = Py_NewRef(take);
    self->failed = Py_NewRef(failed);
    /* One byte more: what is too long differs from what just fits. Aligned, as libsrtp wants it. */
    self->datagram_bytes = bytes_max + 1;
    size_t stride = ((size_t)bytes_max + 1 + 15) / 16 * 16;
    self->buffers = PyMem_Malloc(BATCH * stride);
    self->lines = PyDict_New();
    if (self->buffers == NULL || self->lines == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (int index = 0; index < BATCH; index++) {
        self->parts[index].iov_base = self->buffers + index * stride;
        self->parts[index].iov_len = self->datagram_bytes;
        self->messages[index].msg_hdr = (struct msghdr){
            .msg_name = &self->from[index],
            .msg_namelen = sizeof self->from[index],
            .msg_iov = &self->parts[index],
            .msg_iovlen = 1,
        };
    }
    return (PyObject *)self;
}

static int Reader_traverse(Reader *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->take);
    Py_VISIT(self->failed);
    Py_VISIT(self->lines);
    return 0;
}

static int Reader_clear(Reader *self)
{
    Py_CLEAR(self->take);
    Py_CLEAR(self->failed);
    Py_CLEAR(self->lines);
    return 0;
}

static void Reader_dealloc(Reader *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Reader_clear(self);
    PyMem_Free(self->buffers);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Reader_route(Reader *self, PyObject *arguments)
{
    PyObject *tuple, *line;
    Address address;
    if (!PyArg_ParseTuple(arguments, "O!O", &PyTuple_Type, &tuple, &line)
        || address_of(tuple, &address) == 0)
        return NULL;
    if (line != Py_None && Py_TYPE(line)->tp_dealloc != (destructor)Line_dealloc) {
        PyErr_SetString(PyExc_TypeError, "route() takes an address and a line");
        return NULL;
    }
    PyObject *key = key_of(&address);
    if (key == NULL)
        return NULL;
    int done;
    if (line != Py_None)
        done = PyDict_SetItem(self->lines, key, line);
    else if ((done = PyDict_Contains(self->lines, key)) > 0)
        done = PyDict_DelItem(self->lines, key);
    Py_DECREF(key);
    if (done < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Returns the line, borrowed, that takes this packet; NULL, without an error, where none does. */
static Line *line_of(Reader *self, const uint8_t *data, int size, const Address *from)
{
    if (size < HEADER_BYTES || size >= self->datagram_bytes || data[0] != PLAIN
        || (data[1] >= RTCP_FROM && data[1] <= RTCP_TO))
        return NULL;
    PyObject *key = key_of(from);
    Line *line = key == NULL ? NULL : (Line *)PyDict_GetItemWithError(self->lines, key);
    PyErr_Clear();
    Py_XDECREF(key);
    return line != NULL && line->has_source && line->source == word_at(data + 8) ? line : NULL;
}

/* Takes note of what a session's call came to: its fault is told, and stops nobody else's audio.
 * Only what ends the process is raised (-1). */
static int done(Reader *self, PyObject *outcome)
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
    PyObject *told = PyObject_CallOneArg(self->failed, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(told);
    return told == NULL ? -1 : 0;
}

static PyObject *hand_over(Reader *self, const uint8_t *data, int size, const Address *from)
{
    PyObject *datagram = PyBytes_FromStringAndSize((const char *)data, size);
    PyObject *address = datagram == NULL ? NULL : tuple_of(from);
    PyObject *outcome =
        address == NULL ? NULL
                        : PyObject_CallFunctionObjArgs(self->take, datagram, address, NULL);
    Py_XDECREF(datagram);
    Py_XDECREF(address);
    return outcome;
}

static PyObject *Reader_read(Reader *self, PyObject *now)
{
    long long now_ns = PyLong_AsLongLong(now);
    if (now_ns == -1 && PyErr_Occurred())
        return NULL;
    if (self->is_reading) { /* there is one set of buffers */
        PyErr_SetString(PyExc_RuntimeError, "read() was called from one of its own handlers");
        return NULL;
    }
    /* An error is that nothing is there, or what became of an earlier datagram, told once. */
    int count = recvmmsg(self->descriptor, self->messages, BATCH, MSG_DONTWAIT, NULL), told = 0;
    self->is_reading = 1;
    Py_INCREF(self); /* a handler may let go of it */
    for (int index = 0; index < count; index++) {
        uint8_t *data = self->parts[index].iov_base;
        int size = (int)self->messages[index].msg_len;
        if (told < 0 || self->descriptor < 0) /* closed by what came before */
            continue;
        Line *line = line_of(self, data, size, &self->from[index]);
        if (line == NULL)
            told = done(self, hand_over(self, data, size, &self->from[index]));
        else if (may_pass(line, now_ns)) {
            Py_INCREF(line); /* its session may end */
            told = done(self, deliver(line, data, size, now));
            Py_DECREF(line);
        }
    }
    self->is_reading = 0;
    Py_DECREF(self);
    return told < 0 ? NULL : PyLong_FromLong(count < 0 ? 0 : count);
}

static PyObject *Reader_close(Reader *self, PyObject *Py_UNUSED(none))
{
    self->descriptor = -1;
    Py_RETURN_NONE;
}

/* The module. */

static PyObject *use(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *protecting, *unprotecting, *error;
    if (!PyArg_ParseTuple(arguments, "O!O!O", &PyLong_Type, &protecting, &PyLong_Type,
                          &unprotecting, &error))
        return NULL;
    protect = (Cipher)PyLong_AsVoidPtr(protecting);
    unprotect = (Cipher)PyLong_AsVoidPtr(unprotecting);
    if (PyErr_Occurred())
        return NULL;
    Py_XSETREF(protect_error, Py_NewRef(error));
    Py_RETURN_NONE;
}

static PyMethodDef line_methods[] = {
    {"hear", (PyCFunction)Line_hear, METH_O,
     "hear($self, ssrc, /)\n--\n\nDeliver packets of this source, which has proven itself."},
    {"aim", (PyCFunction)Line_aim, METH_VARARGS,
     "aim($self, descriptor, address, /)\n--\n\nSend by this socket to this address."},
    {"send", (PyCFunction)(void (*)(void))Line_send, METH_FASTCALL,
     "send($self, type_and_marker, sequence, timestamp, ssrc, payload, /)\n--\n\n"
     "Protect a packet and send it now; return whether the kernel accepted it."},
    {"close", (PyCFunction)Line_close, METH_NOARGS,
     "close($self, /)\n--\n\nDeliver nothing more; repeating it is harmless."},
    {NULL},
};

static PyGetSetDef line_attributes[] = {
    {"excess", (getter)Line_excess, NULL, "Packets that were too many, and were not looked at.",
     NULL},
    {NULL},
};

static PyType_Slot line_slots[] = {
    {Py_tp_doc, "Line(session, transport, in, out, frame_ns, burst_frames, /)\n--\n\n"
                 "Carries the audio of one session."},
    {Py_tp_new, Line_new},
    {Py_tp_dealloc, Line_dealloc},
    {Py_tp_traverse, Line_traverse},
    {Py_tp_clear, Line_clear},
    {Py_tp_methods, line_methods},
    {Py_tp_getset, line_attributes},
    {0, NULL},
};

static PyType_Spec line_spec = {
    .name = "gateway.webrtc._native.Line",
    .basicsize = sizeof(Line),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = line_slots,
};

static PyMethodDef reader_methods[] = {
    {"read", (PyCFunction)Reader_read, METH_O,
     "read($self, now_ns, /)\n--\n\nRead what has arrived; return how many, BATCH at most."},
    {"route", (PyCFunction)Reader_route, METH_VARARGS,
     "route($self, address, line, /)\n--\n\n"
     "Give a line what comes from this address; None gives it to `take`."},
    {"close", (PyCFunction)Reader_close, METH_NOARGS,
     "close($self, /)\n--\n\nRead nothing more; repeating it is harmless."},
    {NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "Reader(descriptor, datagram_bytes_max, take, failed, /)\n--\n\n"
                 "Reads one UDP socket; the caller closes it."},
    {Py_tp_new, Reader_new},
    {Py_tp_dealloc, Reader_dealloc},
    {Py_tp_traverse, Reader_traverse},
    {Py_tp_clear, Reader_clear},
    {Py_tp_methods, reader_methods},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "gateway.webrtc._native.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};

static PyMethodDef functions[] = {
    {"use", use, METH_VARARGS,
     "use(protect, unprotect, error, /)\n--\n\n"
     "Use these functions of libsrtp, by address; `error` is raised where protecting fails."},
    {NULL},
};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int added = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return added;
}

static int execute(PyObject *module)
{
    if (add_type(module, "Line", &line_spec) < 0 || add_type(module, "Reader", &reader_spec) < 0
        || PyModule_AddIntMacro(module, BATCH) < 0)
        return -1;
    return (take_packet = PyUnicode_InternFromString("take_packet")) == NULL
                   || (packet_refused = PyUnicode_InternFromString("packet_refused")) == NULL
               ? -1
               : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gateway.webrtc._native",
    .m_doc = "Moves the audio of WebRTC sessions between their UDP port and libsrtp.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
