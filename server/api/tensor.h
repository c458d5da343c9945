/* tensor: the tensors of the Open Inference Protocol (version 2), in JSON and in its binary extension.
 *
 * A request's tensor becomes numbers in double or texts, whatever its datatype. Binary data follows the JSON,
 * in the order of the tensors, little-endian, row by row; each text of BYTES has its length before it, in
 * four bytes. One thread at a time. */
#ifndef CAROUSEL_SERVER_TENSOR_H
#define CAROUSEL_SERVER_TENSOR_H

#include "server/api/document.h"
#include "server/base/json_writer.h"

enum { TENSOR_RANK = 4 };

struct tensor {
    const char *name; /* borrowed from the document */
    size_t shape[TENSOR_RANK], rank, n;
    bool is_text;
    double *numbers;  /* [n], owned; NULL for texts */
    char **texts;     /* [n], each owned; NULL for numbers */
};

/* The bytes behind the JSON that no tensor has taken yet. */
struct tensor_bytes {
    const unsigned char *bytes;
    size_t n;
};

/* Read an element of "inputs". At most `most` elements. Released by tensor_release in any case. false:
 * *problem. */
bool tensor_read(const struct json *value, struct tensor_bytes *rest, size_t most, struct tensor *out,
                 struct problem *problem);
void tensor_release(struct tensor *tensor);

/* An output: numbers, or texts if `texts` is set; borrowed. */
struct tensor_out {
    const char *name, *datatype; /* FP32, FP64 or BYTES */
    size_t shape[TENSOR_RANK], rank, n;
    const double *numbers;
    const char *const *texts;
};

/* Put it into the array "outputs": as JSON, or into `binary`, if that is not NULL, with its size in the JSON.
 * */
void tensor_put(const struct tensor_out *tensor, struct writer *out, struct writer *binary);

#endif
