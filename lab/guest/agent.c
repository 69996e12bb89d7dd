/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lab's agent in the guest: runs commands and moves files for lab/guest/channel.py, over a serial line of its own.
 *
 * A message is a type (one byte), the length and the CRC-32 of its body (big-endian, four bytes each), and the body.
 * What comes from the host comes in pieces of PIECE bytes at most, and each is answered with ACK before the next is
 * sent: the line has no flow control, and the kernel keeps no more than 4 KiB for a slow reader (drivers/tty/n_tty.c).
 * Nothing has to be answered in the other direction, for there QEMU waits.
 *
 * A serial line is slow, some 20 KiB a second and less on a busy host. So what is large goes through memory that guest
 * and host share where there is some (QEMU's ivshmem-plain, a PCI device whose second BAR it is; sysfs maps it, no driver
 * is needed): then M tells the type, length and CRC-32 of what lies there, and is answered with one ACK more by whoever has
 * used it and needs it no longer.
 *
 *   H  agent: version, bytes shared           R  run: milliseconds, limit, path of standard input, arguments
 *   O, X  standard output and error           S  status as of wait(2), flags, milliseconds
 *   P  push: mode, path; then D..., F         G  pull: limit, path; answered by D..., K
 *   W  write: path, data, in one write(2)     B  good-bye
 *   K  done, flags                            E  failed: errno
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1024, MOST = 1 << 16, OUT = 1 << 15, LARGE = 256, SHARED = 1 << 20, ACK = 6, HEADER = 9 };
enum { CUT_OUT = 1, CUT_ERR = 2, LATE = 4 };

static const unsigned char ack = ACK;
static int line = -1;
static int wake[2];
static unsigned char body[MOST + 1];
static unsigned char *shared; /* SHARED bytes */
static const unsigned char *payload;
static uint32_t length;

static uint32_t crc32_of(const unsigned char *data, size_t size)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t value = i;

			for (int bit = 0; bit < 8; bit++)
				value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
			table[i] = value;
		}
	while (size--)
		crc = crc >> 8 ^ table[(crc ^ *data++) & 255];
	return ~crc;
}

static void put32(unsigned char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = value >> (24 - 8 * i);
}

static uint32_t get32(const unsigned char *from)
{
	return (uint32_t)from[0] << 24 | from[1] << 16 | from[2] << 8 | from[3];
}

static void give_up(const char *what)
{
	printf("lab: agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_line(const unsigned char *data, size_t size)
{
	while (size) {
		ssize_t done = write(line, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			give_up("write");
		data += done;
		size -= done;
	}
}

static void read_line(unsigned char *data, size_t size)
{
	while (size) {
		ssize_t done = read(line, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			give_up("read");
		data += done;
		size -= done;
	}
}

static void tell(char type, const void *data, uint32_t size)
{
	unsigned char header[HEADER] = { type };

	put32(header + 1, size);
	put32(header + 5, crc32_of(data, size));
	write_line(header, sizeof(header));
	write_line(data, size);
}

/* The same for what may be large; what is in shared memory already stays where it is. */
static void tell_data(char type, const void *data, uint32_t size)
{
	unsigned char where[HEADER] = { type }, answer = 0;

	if (!shared || size < LARGE)
		return tell(type, data, size);
	if (data != shared)
		memcpy(shared, data, size);
	put32(where + 1, size);
	put32(where + 5, crc32_of(data, size));
	tell('M', where, sizeof(where));
	read_line(&answer, 1);
	if (answer != ACK) {
		errno = EPROTO;
		give_up("answer");
	}
}

static void tell32(char type, uint32_t value)
{
	unsigned char data[4];

	put32(data, value);
	tell(type, data, sizeof(data));
}

/* The next message's type; its body is in payload[], and where it came over the line in body[], with a zero after it.
 * 0: it came damaged. */
static int take(void)
{
	unsigned char header[HEADER];

	read_line(header, sizeof(header));
	length = get32(header + 1);
	if (length > MOST) {
		errno = EMSGSIZE;
		give_up("message");
	}
	write_line(&ack, 1);
	for (uint32_t at = 0; at < length; at += PIECE) {
		read_line(body + at, length - at < PIECE ? length - at : PIECE);
		write_line(&ack, 1);
	}
	body[length] = 0;
	payload = body;
	if (crc32_of(body, length) != get32(header + 5))
		return 0;
	if (header[0] != 'M')
		return header[0];
	length = get32(body + 1);
	payload = shared;
	return shared && length <= SHARED && crc32_of(shared, length) == get32(body + 5) ? body[0] : 0;
}

static uint32_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000u + time.tv_nsec / 1000000;
}

static void on_child(int sig)
{
	int saved = errno;

	(void)sig;
	if (write(wake[1], "", 1) < 0)
		;
	errno = saved;
}

/* Hand on what there is to read now; 0 at the end of the stream. */
static int hand_on(int fd, char type, uint32_t *left, uint32_t *flags, uint32_t cut)
{
	static unsigned char data[OUT];
	ssize_t size = read(fd, data, sizeof(data));

	if (size <= 0)
		return size < 0 && (errno == EAGAIN || errno == EINTR);
	if ((uint32_t)size > *left) {
		*flags |= cut;
		size = *left;
	}
	*left -= size;
	if (size)
		tell_data(type, data, size);
	return 1;
}

static void child(char **argv, const char *input, const int *out, const int *err, int failed)
{
	int fd = open(*input ? input : "/dev/null", O_RDONLY);

	setsid();
	signal(SIGCHLD, SIG_DFL);
	if (fd >= 0 && dup2(fd, 0) == 0 && dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2)
		execvp(argv[0], argv);
	put32(body, errno);
	if (write(failed, body, 4) < 0)
		;
	_exit(127);
}

static void run(void)
{
	enum { WORDS = 4096 };
	static char *argv[WORDS + 1];
	uint32_t deadline = get32(body), limit = get32(body + 4), flags = 0, began = now();
	uint32_t left_out = limit, left_err = limit;
	int out[2], err[2], failed[2], status = 0, count = 0, late = 0, open_out = 1, open_err = 1;
	unsigned char result[12];
	char *input = (char *)body + 8, *end = (char *)body + length;
	pid_t pid;

	for (char *word = input + strlen(input) + 1; word < end && count < WORDS; word += strlen(word) + 1)
		argv[count++] = word;
	argv[count] = NULL;
	if (!count || count == WORDS)
		return tell32('E', count ? E2BIG : EINVAL);
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || pipe2(failed, O_CLOEXEC))
		return tell32('E', errno);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (!pid)
		child(argv, input, out, err, failed[1]);
	close(out[1]);
	close(err[1]);
	close(failed[1]);
	if (pid < 0)
		status = errno;
	else if (read(failed[0], result, 4) == 4)
		status = get32(result);
	close(failed[0]);
	if (status) {
		if (pid > 0)
			waitpid(pid, NULL, 0);
		tell32('E', status);
		goto done;
	}
	for (;;) {
		struct pollfd fds[3] = {
			{ open_out ? out[0] : -1, POLLIN, 0 }, { open_err ? err[0] : -1, POLLIN, 0 }, { wake[0], POLLIN, 0 },
		};
		uint32_t spent = now() - began;
		pid_t ended;

		if (spent >= deadline && !late) {
			late = 1;
			flags |= LATE;
			kill(-pid, SIGKILL);
		}
		poll(fds, 3, late ? 1000 : (int)(deadline - spent));
		if (fds[0].revents)
			open_out = hand_on(out[0], 'O', &left_out, &flags, CUT_OUT);
		if (fds[1].revents)
			open_err = hand_on(err[0], 'X', &left_err, &flags, CUT_ERR);
		if (fds[2].revents) {
			char bytes[64];

			if (read(wake[0], bytes, sizeof(bytes)) < 0)
				;
		}
		ended = waitpid(pid, &status, WNOHANG);
		if (ended == pid)
			break;
	}
	kill(-pid, SIGKILL); /* what it left behind would keep files and pipes of a command that counts as done */
	while (open_out && poll(&(struct pollfd){ out[0], POLLIN, 0 }, 1, 0) > 0)
		open_out = hand_on(out[0], 'O', &left_out, &flags, CUT_OUT);
	while (open_err && poll(&(struct pollfd){ err[0], POLLIN, 0 }, 1, 0) > 0)
		open_err = hand_on(err[0], 'X', &left_err, &flags, CUT_ERR);
	put32(result, status);
	put32(result + 4, flags);
	put32(result + 8, now() - began);
	tell('S', result, sizeof(result));
done:
	close(out[0]);
	close(err[0]);
}

/* A file is there under its name once all of it came. */
static void push(void)
{
	static char path[4096], part[4096 + 16];
	mode_t mode = get32(body);
	struct stat there;
	int fd, wrong = 0, type;

	if (strlen((char *)body + 4) >= sizeof(path))
		return tell32('E', ENAMETOOLONG);
	strcpy(path, (char *)body + 4);
	if (!stat(path, &there) && !S_ISREG(there.st_mode)) /* a device is not to be replaced */
		return tell32('E', S_ISDIR(there.st_mode) ? EISDIR : EEXIST);
	strcat(strcpy(part, path), ".lab-part");
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return tell32('E', errno);
	tell32('K', 0);
	while ((type = take()) == 'D') {
		for (uint32_t at = 0; at < length && !wrong;) {
			ssize_t done = write(fd, payload + at, length - at);

			if (done < 0)
				wrong = errno;
			else
				at += done;
		}
		if (payload == shared)
			write_line(&ack, 1);
	}
	if (type != 'F' && !wrong)
		wrong = EBADMSG;
	if (fchmod(fd, mode) && !wrong)
		wrong = errno;
	if (close(fd) && !wrong)
		wrong = errno;
	if (!wrong && rename(part, path))
		wrong = errno;
	if (wrong)
		unlink(part);
	tell32(wrong ? 'E' : 'K', wrong);
}

static void pull(void)
{
	uint32_t left = get32(body), flags = 0;
	int fd = open((char *)body + 4, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	static unsigned char own[OUT];
	unsigned char *data = shared ? shared : own;
	ssize_t size;

	if (fd < 0)
		return tell32('E', errno);
	while ((size = read(fd, data, shared ? SHARED : sizeof(own))) > 0) {
		if ((uint32_t)size > left) {
			flags = CUT_OUT;
			size = left;
		}
		left -= size;
		if (size)
			tell_data('D', data, size);
		if (flags)
			break;
	}
	tell32(size < 0 ? 'E' : 'K', size < 0 ? (uint32_t)errno : flags);
	close(fd);
}

static void write_once(void)
{
	size_t at = strlen((char *)body) + 1;
	int fd = open((char *)body, O_WRONLY | O_CLOEXEC);
	ssize_t done = -1;

	if (fd >= 0)
		done = write(fd, body + at, length - at);
	if (done < 0)
		tell32('E', errno);
	else
		tell32(done == length - at ? 'K' : 'E', done == length - at ? 0 : EIO);
	if (fd >= 0)
		close(fd);
}

static void map_shared(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	shared = at == MAP_FAILED ? NULL : at;
	if (fd >= 0)
		close(fd);
}

/* The first of the PCI devices that are shared memory (vendor and device id as in QEMU's docs/specs/ivshmem-spec). */
static void find_shared(void)
{
	static const char id[] = "PCI_ID=1AF4:1110";
	char text[1024];
	glob_t found;

	if (glob("/sys/bus/pci/devices/*/uevent", 0, NULL, &found))
		return;
	for (size_t at = 0; at < found.gl_pathc && !shared; at++) {
		char *path = found.gl_pathv[at], *name = strrchr(path, '/') + 1, memory[256];
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

		if (fd >= 0)
			close(fd);
		text[size < 0 ? 0 : size] = 0;
		if (!strstr(text, id))
			continue;
		snprintf(memory, sizeof(memory), "%.*senable", (int)(name - path), path);
		fd = open(memory, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1", 1) < 0)
			continue;
		close(fd);
		snprintf(memory, sizeof(memory), "%.*sresource2", (int)(name - path), path);
		map_shared(memory);
	}
	globfree(&found);
}

int main(int argc, char **argv)
{
	unsigned char hello[8];
	struct termios mode;
	int end = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc != 2 && argc != 3)
		return 2;
	line = open(argv[1], O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (line < 0 && errno == ENOENT && !mknod(argv[1], S_IFCHR | 0600, makedev(4, 65)))
		line = open(argv[1], O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (line < 0 || tcgetattr(line, &mode))
		give_up(argv[1]);
	cfmakeraw(&mode);
	mode.c_cflag |= CLOCAL | CREAD;
	cfsetspeed(&mode, B115200);
	if (tcsetattr(line, TCSANOW, &mode) || pipe2(wake, O_CLOEXEC | O_NONBLOCK))
		give_up(argv[1]);
	signal(SIGCHLD, on_child);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	write_line((const unsigned char *)"\2lab agent 1\3", 13);
	if (argc == 3)
		map_shared(argv[2]);
	else
		find_shared();
	put32(hello, 1);
	put32(hello + 4, shared ? SHARED : 0);
	tell('H', hello, sizeof(hello));
	while (!end)
		switch (take()) {
		case 'R': run(); break;
		case 'P': push(); break;
		case 'G': pull(); break;
		case 'W': write_once(); break;
		case 'B': end = 1; tell32('K', 0); break;
		default: tell32('E', EBADMSG);
		}
	tcdrain(line);
	return 0;
}
