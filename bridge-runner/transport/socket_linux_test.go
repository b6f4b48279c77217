// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadRate_FrequentReads_AreMany(t *testing.T) {
	var w readRate
	now := time.Now()
	for _, tc := range []struct {
		name  string
		every time.Duration
		want  bool
	}{
		{"1,000 a second", time.Millisecond, false},
		{"2,500 a second", 400 * time.Microsecond, false},
		{"20,000 a second", 50 * time.Microsecond, true},
		{"2,500 a second after that, because each read waits", 400 * time.Microsecond, true},
		{"1,000 a second after that", time.Millisecond, false},
		{"2,500 a second after that", 400 * time.Microsecond, false},
		{"40,000 a second", 25 * time.Microsecond, true},
		{"a single read after a pause", 5 * time.Millisecond, false},
	} {
		var many bool
		for end := now.Add(2100 * time.Microsecond); now.Before(end); {
			now = now.Add(tc.every)
			many = w.add(now)
		}
		if many != tc.want {
			t.Errorf("%s: many is %t", tc.name, many)
		}
	}
}

// Linux ends a connection by TCP_USER_TIMEOUT although the peer accepts data all the time,
// if it accepts it in pieces smaller than a segment.
func TestSocket_PeerAcceptsSmallPieces_OutlivesUserTimeout(t *testing.T) {
	const userTimeout, size, rate = time.Second, 100 << 10, 20 << 10
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<10) })
	}}
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = far.Close() }()
	raw, err := near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	}); err != nil {
		t.Fatal(err)
	}
	s := newSocket(near, time.Minute)
	defer func() { _ = s.Close() }()
	if _, err := s.Write(pattern(size)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4<<10)
	for n := 0; n < size; {
		read, err := far.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		n += read
		time.Sleep(time.Duration(read) * time.Second / rate) // the peer's slowness
	}
	if u := s.transit(); u.Written != size || u.TCPAcked != size {
		t.Errorf("at the end %+v", u)
	}
}

// A measurement often takes place while another goroutine writes, because the system prefers
// the peer's thread at the end of the write.
func TestSocket_MeasuredDuringWrite_DataIsNotUnsent(t *testing.T) {
	near, _ := sockets(t)
	s := newSocket(near, time.Minute)
	defer func() { _ = s.Close() }()
	writing, write := make(chan struct{}), s.fd.out.call
	s.fd.out.call = func(fd uintptr) bool {
		close(writing)
		time.Sleep(50 * time.Millisecond) // the write takes so long
		return write(fd)
	}
	written := make(chan error, 1)
	go func() {
		_, err := s.Write([]byte("x"))
		written <- err
	}()
	<-writing
	if u := s.transit(); u.Unsent != 0 {
		t.Errorf("during the write: %+v", u)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}
