/* Counts the words of a file and writes a report to another.
 *
 *     python3 -m ziglang cc -target wasm32-wasi -O2 -s examples/words.c -o words.wasm
 *     seqfault run --dir . words.wasm README.md report.txt
 *
 * The report has one line a word, the most frequent first, words of equal frequency in the order
 * of the alphabet. It is written under another name first and then moved into its place.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
    char *text;
    unsigned long count;
    struct word *next;
};

enum { BUCKETS = 4096, LONGEST = 256 };

static struct word *buckets[BUCKETS];
static size_t distinct;

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "words: cannot %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory)
        fail("allocate memory for", "the words");
    return memory;
}

static void count(const char *text)
{
    unsigned long hash = 5381;
    for (const char *at = text; *at; at++)
        hash = hash * 33 + (unsigned char)*at;
    struct word **bucket = &buckets[hash % BUCKETS];
    for (struct word *word = *bucket; word; word = word->next) {
        if (strcmp(word->text, text) == 0) {
            word->count++;
            return;
        }
    }
    struct word *word = allocate(sizeof *word);
    word->text = allocate(strlen(text) + 1);
    strcpy(word->text, text);
    word->count = 1;
    word->next = *bucket;
    *bucket = word;
    distinct++;
}

static unsigned long read_words(const char *path)
{
    FILE *in = fopen(path, "r");
    if (!in)
        fail("open", path);
    char text[LONGEST];
    size_t length = 0;
    unsigned long total = 0;
    int c;
    do {
        c = fgetc(in);
        if (c != EOF && (isalnum(c) || c == '\'')) {
            if (length < LONGEST - 1)
                text[length++] = (char)tolower(c);
        } else if (length > 0) {
            text[length] = '\0';
            count(text);
            length = 0;
            total++;
        }
    } while (c != EOF);
    if (ferror(in))
        fail("read", path);
    fclose(in);
    return total;
}

static int compare(const void *a, const void *b)
{
    const struct word *left = *(struct word *const *)a, *right = *(struct word *const *)b;
    if (left->count != right->count)
        return left->count < right->count ? 1 : -1;
    return strcmp(left->text, right->text);
}

static void write_report(const char *path)
{
    struct word **words = allocate((distinct + 1) * sizeof *words);
    size_t n = 0;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++)
        for (struct word *word = buckets[bucket]; word; word = word->next)
            words[n++] = word;
    qsort(words, n, sizeof *words, compare);

    char *draft = allocate(strlen(path) + sizeof ".draft");
    sprintf(draft, "%s.draft", path);
    FILE *out = fopen(draft, "w");
    if (!out)
        fail("create", draft);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%lu %s\n", words[i]->count, words[i]->text);
    if (fclose(out) != 0)
        fail("write", draft);
    if (rename(draft, path) != 0)
        fail("move the report to", path);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: words INPUT REPORT\n");
        return 2;
    }
    unsigned long total = read_words(argv[1]);
    write_report(argv[2]);
    printf("%lu words, %zu of them different\n", total, distinct);
    return 0;
}
