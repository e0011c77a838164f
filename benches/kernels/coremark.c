// The mix of work that embedded benchmarks are made of: a linked list that is searched, reversed and
// sorted; a small integer matrix multiplied by a constant, a vector and a matrix; a state machine that
// classifies number-like words; and a CRC-16 over everything they produce.
#include "kernel.h"

// CRC-16/ARC, bit by bit.

static u16 crc8(u8 byte, u16 crc) {
    for (int bit = 0; bit < 8; bit++) {
        u16 carry = (crc ^ byte) & 1;
        crc >>= 1;
        if (carry) crc ^= 0xa001;
        byte >>= 1;
    }
    return crc;
}

static NOINLINE u16 crc16(u16 value, u16 crc) { return crc8(value >> 8, crc8(value & 0xff, crc)); }

static u16 crc32bits(u32 value, u16 crc) { return crc16(value >> 16, crc16(value & 0xffff, crc)); }

// A linked list.

#define NODES 96

struct payload {
    i16 key;
    i16 order;
};

struct node {
    struct node *next;
    struct payload *payload;
};

static struct node nodes[NODES];
static struct payload payloads[NODES];

static struct node *make_list(void) {
    for (int i = 0; i < NODES; i++) {
        // Scattered, so that following the list is not walking the array.
        int at = (i * 37) % NODES;
        payloads[at].key = next() & 0x7fff;
        payloads[at].order = i;
        nodes[at].payload = &payloads[at];
        nodes[at].next = i + 1 < NODES ? &nodes[((i + 1) * 37) % NODES] : 0;
    }
    return &nodes[0];
}

static NOINLINE struct node *find(struct node *list, i16 key) {
    while (list && (list->payload->key & 0xff) != (key & 0xff)) list = list->next;
    return list;
}

static NOINLINE struct node *reverse(struct node *list) {
    struct node *done = 0;
    while (list) {
        struct node *rest = list->next;
        list->next = done;
        done = list;
        list = rest;
    }
    return done;
}

typedef i32 (*comparison)(const struct payload *, const struct payload *);

static i32 by_key(const struct payload *a, const struct payload *b) { return a->key - b->key; }

static i32 by_order(const struct payload *a, const struct payload *b) { return a->order - b->order; }

// Bottom-up merge sort: runs of 1, 2, 4, ... nodes.
static NOINLINE struct node *sort(struct node *list, comparison compare) {
    for (int run = 1;; run *= 2) {
        struct node *left = list, *tail = 0;
        int merges = 0;
        list = 0;
        while (left) {
            struct node *right = left;
            int nleft = 0, nright = run;
            merges++;
            while (nleft < run && right) {
                nleft++;
                right = right->next;
            }
            while (nleft > 0 || (nright > 0 && right)) {
                struct node *taken;
                if (nleft == 0 || (nright > 0 && right && compare(left->payload, right->payload) > 0)) {
                    taken = right;
                    right = right->next;
                    nright--;
                } else {
                    taken = left;
                    left = left->next;
                    nleft--;
                }
                if (tail) tail->next = taken;
                else list = taken;
                tail = taken;
            }
            left = right;
        }
        tail->next = 0;
        if (merges <= 1) return list;
    }
}

static u16 list_work(struct node **list, u16 crc) {
    u32 found = 0;
    for (i16 key = 0; key < 48; key++) {
        struct node *hit = find(*list, key);
        found = found * 3 + (hit ? hit->payload->order : 1);
        *list = reverse(*list);
    }
    *list = sort(*list, by_key);
    for (struct node *at = *list; at; at = at->next) crc = crc16(at->payload->key, crc);
    *list = sort(*list, by_order);
    return crc32bits(found, crc);
}

// A matrix.

#define SIDE 12

static i16 left[SIDE * SIDE], right[SIDE * SIDE];
static i32 product[SIDE * SIDE];

static void make_matrices(void) {
    for (int i = 0; i < SIDE * SIDE; i++) {
        left[i] = (next() & 0xff) - 128;
        right[i] = (next() & 0xff) - 100;
    }
}

static NOINLINE void add_constant(i16 *matrix, i16 constant) {
    for (int i = 0; i < SIDE * SIDE; i++) matrix[i] += constant;
}

static NOINLINE void multiply_constant(i32 *out, const i16 *matrix, i16 constant) {
    for (int i = 0; i < SIDE * SIDE; i++) out[i] = (i32)matrix[i] * constant;
}

static NOINLINE void multiply_vector(i32 *out, const i16 *matrix, const i16 *vector) {
    for (int row = 0; row < SIDE; row++) {
        i32 sum = 0;
        for (int column = 0; column < SIDE; column++) sum += (i32)matrix[row * SIDE + column] * vector[column];
        out[row] = sum;
    }
}

static NOINLINE void multiply_matrix(i32 *out, const i16 *a, const i16 *b) {
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            i32 sum = 0;
            for (int k = 0; k < SIDE; k++) sum += (i32)a[row * SIDE + k] * b[k * SIDE + column];
            out[row * SIDE + column] = sum;
        }
}

static NOINLINE void multiply_bits(i32 *out, const i16 *a, const i16 *b) {
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            i32 sum = 0;
            for (int k = 0; k < SIDE; k++) {
                i32 term = (i32)a[row * SIDE + k] * b[k * SIDE + column];
                sum += ((term >> 2) & 0xf) * ((term >> 5) & 0x7f);
            }
            out[row * SIDE + column] = sum;
        }
}

// Rises and falls of a result, weighed: depends on every element and on their order.
static NOINLINE i16 profile(const i32 *out, i32 clip) {
    i32 sum = 0, last = 0;
    i16 result = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        sum += out[i];
        if (sum > clip) {
            result += 10;
            sum = 0;
        } else {
            result += out[i] > last;
        }
        last = out[i];
    }
    return result;
}

static u16 matrix_work(i16 constant, u16 crc) {
    add_constant(left, constant);
    multiply_constant(product, left, constant);
    crc = crc16(profile(product, 4000), crc);
    multiply_vector(product, left, right);
    crc = crc16(profile(product, 4000), crc);
    multiply_matrix(product, left, right);
    crc = crc16(profile(product, 4000), crc);
    multiply_bits(product, left, right);
    crc = crc16(profile(product, 4000), crc);
    add_constant(left, -constant);
    return crc;
}

// A state machine.

enum state { START, SIGNED, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, INVALID, STATES };

static char text[] =
    "5012,-874,+122,.1234500,35.54400,-110.700,+0.64400,5.500e+3,-.123e-2,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,"
    "7,12e,9.9.9,--4,1e5,0.0,31415926,2.71828e0,-6.626e-34,+,.";

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static NOINLINE enum state word(const char **at, u32 *transitions) {
    enum state state = START;
    for (; **at && **at != ','; ++*at) {
        char c = **at;
        enum state before = state;
        switch (state) {
        case START:
            if (is_digit(c)) state = INTEGER;
            else if (c == '+' || c == '-') state = SIGNED;
            else if (c == '.') state = POINT;
            else state = INVALID;
            break;
        case SIGNED:
            if (is_digit(c)) state = INTEGER;
            else if (c == '.') state = POINT;
            else state = INVALID;
            break;
        case INTEGER:
            if (c == '.') state = FRACTION;
            else if (c == 'e' || c == 'E') state = EXPONENT;
            else if (!is_digit(c)) state = INVALID;
            break;
        case POINT:
        case FRACTION:
            if (c == 'e' || c == 'E') state = EXPONENT;
            else if (is_digit(c)) state = FRACTION;
            else state = INVALID;
            break;
        case EXPONENT:
            if (c == '+' || c == '-') state = EXPONENT_SIGN;
            else if (is_digit(c)) state = SCIENTIFIC;
            else state = INVALID;
            break;
        case EXPONENT_SIGN:
        case SCIENTIFIC:
            state = is_digit(c) ? SCIENTIFIC : INVALID;
            break;
        default:
            break;
        }
        if (state != before) transitions[state]++;
    }
    if (**at == ',') ++*at;
    return state;
}

static u16 state_work(u32 step, u16 crc) {
    u32 final[STATES] = {0}, transitions[STATES] = {0};
    for (const char *at = text; *at;) final[word(&at, transitions)]++;
    // Damage the text, classify again, repair it.
    for (u32 i = 0; i < sizeof text - 1; i += step)
        if (text[i] != ',') text[i] ^= 0x10;
    for (const char *at = text; *at;) final[word(&at, transitions)]++;
    for (u32 i = 0; i < sizeof text - 1; i += step)
        if ((text[i] ^ 0x10) != ',' && text[i] != ',') text[i] ^= 0x10;
    for (int i = 0; i < STATES; i++) crc = crc32bits(transitions[i], crc32bits(final[i], crc));
    return crc;
}

EXPORT("run") u32 run(u32 iterations) {
    seed = 2463534242u;
    struct node *list = make_list();
    make_matrices();
    u16 crc = 0;
    for (u32 i = 0; i < iterations; i++) {
        crc = list_work(&list, crc);
        crc = matrix_work(i & 0x3f, crc);
        crc = state_work(7 + (i & 3), crc);
    }
    return crc;
}
