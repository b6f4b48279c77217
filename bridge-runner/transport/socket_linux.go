// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nonblockingFD reads and writes the descriptor of a TCP connection. The descriptor does
// not block, so the system calls bypass the Go scheduler. For a system call that the
// scheduler knows, it wakes a thread that watches the call. If messages arrive one by one,
// that costs more than the call itself (docs/performance.md).
//
// One goroutine at a time may read, and one may write.
type nonblockingFD struct {
	conn    syscall.RawConn
	in, out transfer
	arrival arrival
	waiting waiting
}

// sleepThread sleeps in the thread itself, because the timers of the Go scheduler are too
// coarse. The other goroutines on the runner's only processor wait, too. They have little to
// do: the scheduler polls a socket when it has run all goroutines that were ready.
func sleepThread(d time.Duration) {
	pause := syscall.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0) //nolint:gosec // the call ends before the function does
}

// transfer is a system call of one direction. It is reused, so that no call allocates.
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

// waiting is a query of the data that the peer's TCP has not acknowledged, in bytes. It is reused, so that no query
// allocates.
type waiting struct {
	call           func(fd uintptr)
	queued, unsent int64
}

func (w *waiting) query(fd uintptr) {
	if n, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ); err == nil {
		w.queued = int64(n)
	}
	if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD); err == nil {
		w.unsent = int64(n)
	}
}

// arrival is a wait for data. It is reused, so that no wait allocates.
type arrival struct {
	call func(fd uintptr) bool
	// tried is whether the wait has checked for data.
	tried bool
	// errno is an error that the check found. The system reports an error once.
	errno syscall.Errno
	// peeked is the byte that the check reads.
	peeked [1]byte
}

// check returns whether data, an error or the end of the data has arrived. The runtime calls it
// a second time when that is so.
func (a *arrival) check(fd uintptr) bool {
	if a.tried {
		return true
	}
	a.tried = true
	for {
		_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&a.peeked[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // the call ends before the function does
		if errno == syscall.EINTR {
			continue
		}
		if errno == syscall.EAGAIN {
			return false
		}
		a.errno = errno
		return true
	}
}

// newNonblockingFD returns nil if the connection has no descriptor.
func newNonblockingFD(conn net.Conn) *nonblockingFD {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	descriptor, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	r := &nonblockingFD{conn: descriptor}
	r.setOptions()
	r.in.call = func(fd uintptr) bool {
		r.in.do(syscall.SYS_READ, fd)
		return true
	}
	r.out.call = func(fd uintptr) bool {
		r.out.do(syscall.SYS_WRITE, fd)
		return true
	}
	r.arrival.call = r.arrival.check
	r.waiting.call = r.waiting.query
	return r
}

// notSentLowWater is the number of bytes that the system accepts before it can send them.
// The bytes that are written next wait behind them. Bytes in transit do not count, so that
// long links may have as many in transit as they need.
const notSentLowWater = 128 << 10

// MaxUnreported is the largest number of bytes that [Transit] counts as acknowledged although
// the peer's TCP has not acknowledged them.
const MaxUnreported = 0

// setOptions sets the connection's options. An option that the system does not support is
// left out.
//
// TCP_USER_TIMEOUT, which bounds the attempt to connect, is turned off. Linux counts it
// from the first probe of a closed window, and does not restart it when the peer accepts
// data in pieces smaller than a segment: the connection to a slow server would be lost
// although the server accepts data all the time. The socket's own timeout takes its place.
func (r *nonblockingFD) setOptions() {
	_ = r.conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowWater)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0)
	})
}

// queued returns the number of bytes that the system has accepted and the peer's TCP has
// not acknowledged, and the number of these bytes that were never sent. Both are 0 if the
// system does not report them. One goroutine at a time may call it.
func (r *nonblockingFD) queued() (queued, unsent int64) {
	if r == nil {
		return 0, 0
	}
	r.waiting = waiting{call: r.waiting.call}
	_ = r.conn.Control(r.waiting.call) // fails if the connection is closed
	return r.waiting.queued, r.waiting.unsent
}

// softError returns an error that the network has reported for a connection on which
// nothing is acknowledged, for example that the host is unreachable. It returns nil if
// there is none.
func (r *nonblockingFD) softError() error {
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

// read reads the data that has arrived. blocks is true if there is none.
func (r *nonblockingFD) read(p []byte) (n int, blocks bool, err error) {
	if len(p) == 0 {
		return 0, false, nil
	}
	t := &r.in
	t.data, t.n, t.errno = p, 0, 0
	err = r.conn.Read(t.call)
	t.data = nil
	switch {
	case err != nil:
		return 0, false, err
	case t.errno == syscall.EAGAIN:
		return 0, true, nil
	case t.errno != 0:
		return 0, false, t.errno
	case t.n == 0:
		return 0, false, io.EOF
	}
	return t.n, false, nil
}

// awaitData waits until read does not block. It checks for data first, because data that
// arrived before the wait does not end it.
func (r *nonblockingFD) awaitData() error {
	r.arrival.tried, r.arrival.errno = false, 0
	if err := r.conn.Read(r.arrival.call); err != nil {
		return err
	}
	if r.arrival.errno != 0 {
		return r.arrival.errno
	}
	return nil
}

// write writes as much as the system accepts at once.
func (r *nonblockingFD) write(p []byte) (int, error) {
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
