// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raw reads and writes a TCP connection's descriptor, which does not block, past the
// Go scheduler: it need not be told of a system call that returns at once. Told, it
// wakes a thread of its own to look after the call, which costs more than the call
// where messages come one by one (docs/performance.md).
//
// One goroutine at a time may read, and one write.
type raw struct {
	conn    syscall.RawConn
	idle    func() bool // called when nothing more can be read now; may be nil
	in      transfer
	out     transfer
	patient bool // what read is waiting for may wait for more
	wakes   wakes
}

const (
	// gatherTime is how long a wake-up waits for more to come where many come. The
	// system adds some 0.05 ms.
	gatherTime = 300 * time.Microsecond
	// manyWakes is more than how many wake-ups a millisecond are many. They stay many
	// while there is more than fewWakes: those that wait are fewer.
	manyWakes, fewWakes = 3, 1
)

// wakes counts how often a connection brings something.
type wakes struct {
	since time.Time
	count int
	many  bool // in the last millisecond
}

// add counts one and says whether there are many.
func (w *wakes) add(now time.Time) bool {
	w.count++
	if passed := now.Sub(w.since); passed >= time.Millisecond {
		w.many = passed < 2*time.Millisecond && (w.count > manyWakes || w.many && w.count > fewWakes)
		w.since, w.count = now, 0
	}
	return w.many
}

// gather waits a little for more to read. A wake-up costs some five system calls
// whatever it brings; where data comes in many small pieces that is more than handling
// it. It is what network cards do (interrupt moderation). The thread itself sleeps,
// because the Go scheduler's timers are too coarse, and with it all else that the one
// processor of the runner has to do. That is little: a socket is looked at when the
// scheduler has run all that was ready.
func gather() {
	pause := syscall.NsecToTimespec(int64(gatherTime))
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0) //nolint:gosec // the call ends before the function does
}

// transfer is the system call of one direction. It is kept, so that no call
// allocates.
type transfer struct {
	call  func(fd uintptr) bool
	data  []byte
	n     int
	errno syscall.Errno
}

func (t *transfer) do(trap, fd uintptr) {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&t.data[0])), uintptr(len(t.data))) //nolint:gosec // the call ends before the function does
		if errno == syscall.EINTR {
			continue
		}
		t.n, t.errno = int(n), errno
		return
	}
}

// newRaw returns nil where the connection has no descriptor.
func newRaw(conn net.Conn) *raw {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	descriptor, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	r := &raw{conn: descriptor}
	r.prepare()
	r.in.call = func(fd uintptr) bool {
		if r.patient && r.wakes.add(time.Now()) {
			gather()
		}
		r.in.do(syscall.SYS_READ, fd)
		if r.in.errno != syscall.EAGAIN {
			return true
		}
		r.patient = r.idle != nil && r.idle()
		return false // wait until there is something, or there was meanwhile
	}
	r.out.call = func(fd uintptr) bool {
		r.out.do(syscall.SYS_WRITE, fd)
		return true
	}
	return r
}

const (
	// unsentMax is how many bytes the system accepts that it cannot send yet. Behind them
	// pings and acknowledgements wait. It bounds nothing of what is on its way, so that
	// long links have as much of that as they need.
	unsentMax = 128 << 10
	// hidden is how many bytes at most are taken to be on their way that the system does
	// not know of: in the buffers of proxies, and of the server.
	hidden = 256 << 10
)

// prepare sets the connection's options. Where the system does not have one it does
// without.
//
// TCP_USER_TIMEOUT, by which the attempt to connect was bounded, is turned off. Linux counts it
// from the first probe of a closed window, and does not begin again when the other end
// takes data in pieces smaller than a segment: a slow server would be lost that takes
// data all the time. [Session.watch] finds a server that takes none.
func (r *raw) prepare() {
	_ = r.conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentMax)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0)
	})
}

// queued is how many bytes the system has accepted that the other end's TCP has not
// acknowledged, and how many of them were never sent. Both are 0 if it cannot be asked.
func (r *raw) queued() (queued, unsent int64) {
	if r == nil {
		return 0, 0
	}
	_ = r.conn.Control(func(fd uintptr) { // fails when the connection is closed
		if n, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ); err == nil {
			queued = int64(n)
		}
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD); err == nil {
			unsent = int64(n)
		}
	})
	return queued, unsent
}

// softError is what the network has said of a connection on which nothing is
// acknowledged, such as that the host cannot be reached. It is nil if that is nothing.
func (r *raw) softError() error {
	if r == nil {
		return nil
	}
	var failed error
	_ = r.conn.Control(func(fd uintptr) {
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
			failed = syscall.Errno(n)
		}
	})
	return failed
}

// read waits until something can be read.
func (r *raw) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.patient = false
	t := &r.in
	t.data, t.n, t.errno = p, 0, 0
	err := r.conn.Read(t.call)
	t.data = nil
	switch {
	case err != nil:
		return 0, err
	case t.errno != 0:
		return 0, t.errno
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// write writes as much as the system takes at once.
func (r *raw) write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &r.out
	t.data, t.n, t.errno = p, 0, 0
	err := r.conn.Write(t.call)
	t.data = nil
	switch {
	case err != nil:
		return 0, err
	case t.errno == syscall.EAGAIN:
		return 0, nil
	case t.errno != 0:
		return 0, t.errno
	}
	return t.n, nil
}
