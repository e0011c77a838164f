// What programs do with files and directories, by way of the C library. The preopened directory is "/".
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHECK(ok)                                                                          \
    do {                                                                                   \
        if (!(ok)) {                                                                       \
            printf("line %d: %s: %s\n", __LINE__, #ok, strerror(errno));                   \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)
#define FAILS(call, number) CHECK((call) == -1 && errno == (number))

static void streams(void) {
    FILE *file = fopen("/text", "w+");
    CHECK(file);
    for (int i = 0; i < 10000; i++) fprintf(file, "line %d\n", i);
    CHECK(fseek(file, 0, SEEK_SET) == 0);
    char line[32], want[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(want, sizeof want, "line %d\n", i);
        CHECK(fgets(line, sizeof line, file) && !strcmp(line, want));
    }
    CHECK(!fgets(line, sizeof line, file) && feof(file));
    CHECK(fclose(file) == 0);
    file = fopen("/text", "a");
    CHECK(file && fputs("last\n", file) >= 0 && fclose(file) == 0);
    CHECK(!fopen("/missing", "r") && errno == ENOENT);
}

static void descriptors(void) {
    int fd = open("/data", O_RDWR | O_CREAT | O_EXCL, 0644);
    CHECK(fd > 2);
    FAILS(open("/data", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
    struct iovec out[2] = {{"hello, ", 7}, {"world", 5}};
    CHECK(writev(fd, out, 2) == 12);
    CHECK(lseek(fd, 0, SEEK_CUR) == 12);
    char buffer[16] = {0};
    CHECK(pread(fd, buffer, 5, 7) == 5 && !strcmp(buffer, "world"));
    CHECK(pwrite(fd, "W", 1, 7) == 1);
    CHECK(lseek(fd, 7, SEEK_SET) == 7 && read(fd, buffer, 16) == 5);
    CHECK(!memcmp(buffer, "World", 5));
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK(ftruncate(fd, 5) == 0);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && st.st_size == 5 && S_ISREG(st.st_mode));
    CHECK(posix_fallocate(fd, 0, 100) == 0);
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 100);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
    struct timespec times[2] = {{1000, 5}, {2000, 7}};
    CHECK(futimens(fd, times) == 0);
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7);
    CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0 && (fcntl(fd, F_GETFL) & O_APPEND));
    CHECK(write(fd, "end", 3) == 3 && fstat(fd, &st) == 0 && st.st_size == 103);
    CHECK(close(fd) == 0);
    FAILS(close(fd), EBADF);
    fd = open("/data", O_RDONLY);
    FAILS(write(fd, "x", 1), EBADF);
    close(fd);
    fd = open("/data", O_WRONLY | O_TRUNC);
    FAILS(read(fd, buffer, 1), EBADF);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 0);
    close(fd);
}

static void names(void) {
    struct stat st;
    CHECK(mkdir("/dir", 0755) == 0 && mkdir("/dir/inner", 0755) == 0);
    FAILS(mkdir("/dir", 0755), EEXIST);
    FAILS(rmdir("/dir"), ENOTEMPTY);
    CHECK(rename("/data", "/dir/data") == 0);
    FAILS(stat("/data", &st), ENOENT);
    CHECK(link("/dir/data", "/dir/hard") == 0 && stat("/dir/hard", &st) == 0);
    CHECK(st.st_nlink == 2);
    CHECK(symlink("data", "/dir/soft") == 0);
    CHECK(lstat("/dir/soft", &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(stat("/dir/soft", &st) == 0 && S_ISREG(st.st_mode));
    char target[16] = {0};
    CHECK(readlink("/dir/soft", target, sizeof target) == 4 && !strcmp(target, "data"));
    CHECK(access("/dir/soft", R_OK | W_OK) == 0);
    CHECK(chdir("/dir") == 0);
    int fd = open("data", O_RDONLY);
    CHECK(fd > 2 && close(fd) == 0 && chdir("/") == 0);
    CHECK(unlink("/dir/hard") == 0 && unlink("/dir/soft") == 0);
    FAILS(unlink("/dir/inner"), EISDIR);
}

static void listing(void) {
    char name[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "/dir/inner/some-file-with-a-long-name-%d", i);
        FILE *file = fopen(name, "w");
        CHECK(file && fclose(file) == 0);
    }
    DIR *dir = opendir("/dir/inner");
    CHECK(dir);
    int files = 0, directories = 0;
    long middle = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_type == DT_DIR) directories++;
        if (entry->d_type == DT_REG) files++;
        if (files + directories == 250) middle = telldir(dir);
    }
    CHECK(files == 500 && directories == 2);
    seekdir(dir, middle);
    int rest = 0;
    while (readdir(dir)) rest++;
    CHECK(rest == 252);
    rewinddir(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_type != DT_REG) continue;
        snprintf(name, sizeof name, "/dir/inner/%s", entry->d_name);
        CHECK(unlink(name) == 0);
    }
    CHECK(closedir(dir) == 0 && rmdir("/dir/inner") == 0);
}

static void outside(void) {
    struct stat st;
    CHECK(open("/../secret", O_RDONLY) == -1);
    CHECK(open("/dir/../../secret", O_RDONLY) == -1);
    CHECK(stat("/../secret", &st) == -1);
    CHECK(symlink("../secret", "/way-out") == 0);
    FAILS(open("/way-out", O_RDONLY), EPERM);
    CHECK(unlink("/way-out") == 0);
    FAILS(open("/host-link", O_RDONLY), EPERM);
}

int main(void) {
    streams();
    descriptors();
    names();
    listing();
    outside();
    puts("all well");
    return 0;
}
