/* talk: what the messages of a WebSocket mean (docs/state.md, "A WebSocket"). Private to server/stream/.
 *
 * The first message opens a stream on a session: {"session"} goes on with one, {"model"} or
 * {"previous_response_id"} or {"state"} begins one; its answer is the session. Then each text is the body of
 * the session's route, and each binary message rows of float32, little-endian, for that body. {"end":true}
 * ends the stream; another one may then be opened. On the streams' thread. */
#ifndef CAROUSEL_SERVER_TALK_H
#define CAROUSEL_SERVER_TALK_H

#include "server/request/request.h"
#include "server/sessions/store.h"

struct channel;

enum talk_stage { TALK_CLOSED, TALK_OPENING, TALK_OPEN };

struct talk {
    enum talk_stage stage;
    enum route_id route;   /* of its messages */
    char session[SESSION_ID_BYTES]; /* of the stream; before: of the handshake's header, or "" */
    char owner[STORE_OWNER_BYTES];
    bool is_named;         /* the client gave the session its name */
    char model[MODEL_NAME_BYTES + MODEL_VERSION_BYTES + 2]; /* that a session must be of; "" */
    char task[32];         /* the ability that the first message names; "" */
    uint64_t every, taken; /* an answer is sent for each so manieth message */
    const char *field;     /* that the numbers of a binary message are, */
    size_t width;          /* in rows of so many; 0: the model reads tokens */
    unsigned depth;        /* 1: the rows' numbers one after the other; 2: rows; 3: one array of rows */
    char *options;         /* members of the body of each binary message, owned; NULL: none */
    char *last;            /* the last answer that was not sent, owned; NULL: none */
    size_t last_bytes;
};

void talk_release(struct talk *talk);
/* Handle a whole message. */
void talk_hear(struct channel *channel, bool is_text, const char *bytes, size_t n);
/* A step has answered; the reply is taken. The bytes that were sent for it are returned. */
size_t talk_answer(struct channel *channel, struct reply *reply);
/* A step has an event, JSON without its frame. */
size_t talk_event(struct channel *channel, const char *json, size_t n);

#endif
