/* Reads and writes the audio of Twilio Media Streams: one message each 20 ms, each way.
 *
 * Reads it in the very shape that Twilio gives it; whatever differs by a byte, or is no audio, is
 * for gateway/carriers/twilio/media.py to read, which finds the same in it. gateway/carriers/twilio/outbound.py writes
 * the same without this module.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

enum {
    INVALID = 0x80,
    DIGITS_MAX = 15, /* as in gateway/carriers/twilio/media.py */
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char before_sid[] = "\"},\"streamSid\":\"", after_sid[] = "\"}";
enum { AROUND_SID = sizeof before_sid + sizeof after_sid - 2 };
static uint8_t sextets[256]; /* by character: its six bits (RFC 4648, 4), or INVALID */

typedef struct {
    const char *at, *end;
} Text;

static int take(Text *text, const char *expected, Py_ssize_t size)
{
    if (text->end - text->at < size || memcmp(text->at, expected, size) != 0)
        return 0;
    text->at += size;
    return 1;
}

#define TAKE(text, literal) take(text, literal, sizeof(literal) - 1)

/* Takes digits, at least one; returns what they say, or -1. */
static long long number(Text *text)
{
    const char *start = text->at;
    long long value = 0;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        if (text->at - start == DIGITS_MAX)
            return -1;
        value = value * 10 + (*text->at - '0');
    }
    return text->at > start ? value : -1;
}

/* Returns what base64 of four characters or more stands for; NULL, without an error, for what no
 * encoder writes. */
static PyObject *decoded(const uint8_t *from, Py_ssize_t size)
{
    if (size % 4 != 0)
        return NULL;
    int padding = (from[size - 1] == '=') + (from[size - 1] == '=' && from[size - 2] == '=');
    Py_ssize_t length = size / 4 * 3 - padding;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, length);
    if (bytes == NULL) {
        PyErr_Clear();
        return NULL;
    }
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(bytes), wrong = 0;
    const uint8_t *end = from + (padding ? size - 4 : size);
    for (; from < end; from += 4, to += 3) {
        uint8_t a = sextets[from[0]], b = sextets[from[1]], c = sextets[from[2]],
                d = sextets[from[3]];
        wrong |= a | b | c | d;
        to[0] = (uint8_t)(a << 2 | b >> 4);
        to[1] = (uint8_t)(b << 4 | c >> 2);
        to[2] = (uint8_t)(c << 6 | d);
    }
    if (padding) {
        uint8_t a = sextets[from[0]], b = sextets[from[1]];
        uint8_t c = padding == 1 ? sextets[from[2]] : 0;
        uint8_t left_over = padding == 1 ? c & 0x03 : b & 0x0f;
        wrong |= a | b | c | (left_over ? INVALID : 0);
        to[0] = (uint8_t)(a << 2 | b >> 4);
        if (padding == 1)
            to[1] = (uint8_t)(b << 4 | c >> 2);
    }
    if (wrong & INVALID)
        Py_CLEAR(bytes);
    return bytes;
}

static int are_bytes(PyObject *const *arguments, Py_ssize_t count)
{
    if (count == 2 && PyBytes_CheckExact(arguments[0]) && PyBytes_CheckExact(arguments[1]))
        return 1;
    PyErr_SetString(PyExc_TypeError, "two arguments of type bytes are expected");
    return 0;
}

PyDoc_STRVAR(audio_of_doc, "audio_of(text, stream_sid, /)\n--\n\n"
"Return the mu-law audio of a media message and the carrier's time of it, in milliseconds.\n\n"
"None for what is not to be read here, or belongs to another stream.");

static PyObject *audio_of(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (!are_bytes(arguments, count))
        return NULL;
    Text text = {PyBytes_AS_STRING(arguments[0]), NULL};
    text.end = text.at + PyBytes_GET_SIZE(arguments[0]);
    const char *sid = PyBytes_AS_STRING(arguments[1]);
    Py_ssize_t sid_size = PyBytes_GET_SIZE(arguments[1]);
    long long at_ms = -1;
    if (!TAKE(&text, "{\"event\":\"media\",\"sequenceNumber\":\"") || number(&text) < 0
        || !TAKE(&text, "\",\"media\":{\"track\":\"inbound\",\"chunk\":\"") || number(&text) < 0
        || !TAKE(&text, "\",\"timestamp\":\"") || (at_ms = number(&text)) < 0
        || !TAKE(&text, "\",\"payload\":\""))
        Py_RETURN_NONE;
    Py_ssize_t size = text.end - text.at - AROUND_SID - sid_size;
    if (size < 4)
        Py_RETURN_NONE;
    Text tail = {text.at + size, text.end};
    if (!TAKE(&tail, before_sid) || !take(&tail, sid, sid_size) || !TAKE(&tail, after_sid))
        Py_RETURN_NONE;
    PyObject *audio = decoded((const uint8_t *)text.at, size);
    if (audio == NULL)
        Py_RETURN_NONE;
    return Py_BuildValue("NL", audio, at_ms);
}

static void encode(char *to, uint32_t bits)
{
    to[0] = alphabet[bits >> 18];
    to[1] = alphabet[bits >> 12 & 63];
    to[2] = alphabet[bits >> 6 & 63];
    to[3] = alphabet[bits & 63];
}

PyDoc_STRVAR(media_message_doc, "media_message(prefix, audio, /)\n--\n\n"
"Return the prefix, the audio in base64, and what ends the message.");

static PyObject *media_message(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    static const char suffix[] = "\"}}";
    (void)module;
    if (!are_bytes(arguments, count))
        return NULL;
    Py_ssize_t prefix_size = PyBytes_GET_SIZE(arguments[0]), left = PyBytes_GET_SIZE(arguments[1]);
    PyObject *message = PyBytes_FromStringAndSize(
        NULL, prefix_size + (left + 2) / 3 * 4 + (Py_ssize_t)sizeof suffix - 1);
    if (message == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(message);
    memcpy(to, PyBytes_AS_STRING(arguments[0]), prefix_size);
    to += prefix_size;
    const uint8_t *from = (const uint8_t *)PyBytes_AS_STRING(arguments[1]);
    for (; left >= 3; left -= 3, from += 3, to += 4)
        encode(to, from[0] << 16 | from[1] << 8 | from[2]);
    if (left > 0) {
        encode(to, from[0] << 16 | (left == 2 ? from[1] << 8 : 0));
        memset(to + left + 1, '=', 3 - left);
        to += 4;
    }
    memcpy(to, suffix, sizeof suffix - 1);
    return message;
}

static PyMethodDef functions[] = {
    {"audio_of", (PyCFunction)(void (*)(void))audio_of, METH_FASTCALL, audio_of_doc},
    {"media_message", (PyCFunction)(void (*)(void))media_message, METH_FASTCALL, media_message_doc},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module)
{
    (void)module;
    memset(sextets, INVALID, sizeof sextets);
    for (int value = 0; value < 64; value++)
        sextets[(uint8_t)alphabet[value]] = (uint8_t)value;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gateway.carriers.twilio._native",
    .m_doc = "Reads and writes the audio messages of Twilio Media Streams.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
