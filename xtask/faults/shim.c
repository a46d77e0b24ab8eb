/*
 * Loaded before the C library: lets the n-th call of one kind fail once, as a bad disk would.
 *
 * WAL_FAULTS_CALL names the call (fdatasync, fsync, sync_file_range or pwrite64), WAL_FAULTS_AT says which one fails,
 * counted from 1. A failed sync is not passed on, as if the pages had been dropped; a failed write writes half of its
 * bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long calls;

static int fails(const char *call)
{
	const char *wanted = getenv("WAL_FAULTS_CALL");
	const char *at = getenv("WAL_FAULTS_AT");
	static const char said[] = "@injected 1\n";

	if (!wanted || !at || strcmp(wanted, call) != 0)
		return 0;
	if (atomic_fetch_add(&calls, 1) + 1 != atol(at))
		return 0;
	if (write(2, said, sizeof said - 1) < 0)
		return 0;
	return 1;
}

int fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	if (fails("fdatasync")) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}

int fsync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	if (fails("fsync")) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t len, unsigned int flags)
{
	int (*real)(int, off64_t, off64_t, unsigned int) =
		(int (*)(int, off64_t, off64_t, unsigned int))dlsym(RTLD_NEXT, "sync_file_range");

	if (fails("sync_file_range")) {
		errno = EIO;
		return -1;
	}
	return real(fd, offset, len, flags);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) =
		(ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");

	if (fails("pwrite64")) {
		if (real(fd, bytes, len / 2, offset) < 0)
			return -1;
		errno = EIO;
		return -1;
	}
	return real(fd, bytes, len, offset);
}
