/* A host in C: loads the shared library that it is given, and uses it on two threads. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int (*use_all)(void);
static int (*use_old)(void);

static void *on_thread(void *unused) {
    (void)unused;
    for (int i = 0; i < 20; i++)
        if (use_all() || use_old())
            exit(2);
    return NULL;
}

int main(int argc, char **argv) {
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&use_all = dlsym(library, "seqfault_copy_use_all");
    *(void **)&use_old = dlsym(library, "seqfault_copy_use_old");
    pthread_t thread;
    if (pthread_create(&thread, NULL, on_thread, NULL))
        return 3;
    /* Allocations between, which a sanitizer watches. */
    for (int i = 0; i < 100; i++) {
        char *bytes = malloc(1 << i % 16);
        memset(bytes, i, 1 << i % 16);
        free(bytes);
    }
    pthread_join(thread, NULL);
    on_thread(NULL);
    return 0;
}
