// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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

// delayed returns a socket whose reads are frequent, and the other end of the connection. The
// socket's data may be delayed if mayDelay is true.
func delayed(t *testing.T, mayDelay bool) (s *socket, far *net.TCPConn, d *manualDelay) {
	t.Helper()
	near, far := sockets(t)
	s, d = newSocket(near, time.Minute), newManualDelay(frequent)
	t.Cleanup(func() { _ = s.Close() })
	d.makeFrequent()
	s.delay = &d.readDelay
	s.onIdle(func() bool { return mayDelay })
	return s, far, d
}

// send sends data when the reader waits.
func send(t *testing.T, far net.Conn, data string) {
	t.Helper()
	time.AfterFunc(time.Millisecond, func() {
		if _, err := io.WriteString(far, data); err != nil {
			t.Error(err)
		}
	})
}

func TestSocket_DataMayNotBeDelayed_ReadDoesNotSleep(t *testing.T) {
	s, far, d := delayed(t, false)
	buf := make([]byte, 16)
	for range 100 {
		send(t, far, "x")
		if n, err := s.Read(buf); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(d.sleeps) != 0 {
		t.Errorf("%d reads were delayed", len(d.sleeps))
	}
}

func TestSocket_DelayOff_ReadDoesNotSleep(t *testing.T) {
	s, far, d := delayed(t, true)
	s.delay = nil // as without Config.DelayReads
	buf := make([]byte, 16)
	for range 100 {
		send(t, far, "x")
		if n, err := s.Read(buf); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(d.sleeps) != 0 {
		t.Errorf("%d reads were delayed", len(d.sleeps))
	}
}

func TestDial_DelayReads_SetsTheDelay(t *testing.T) {
	hostPort := listen(t, "127.0.0.1:0", echo)
	for _, want := range []bool{false, true} {
		c := dial(t, Config{HostPort: hostPort, DelayReads: want})
		if got := c.socket.delay != nil; got != want {
			t.Errorf("DelayReads %t: delayed %t", want, got)
		}
	}
}

func TestSocket_DataArrives_WaitsForOneDelay(t *testing.T) {
	s, far, d := delayed(t, true)
	buf := make([]byte, 16)
	for i := range 100 {
		send(t, far, "x")
		if n, err := s.Read(buf); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if len(d.sleeps) != i+1 {
			t.Fatalf("%d delays for message %d", len(d.sleeps)-i, i)
		}
	}
}

// The data that arrived before the wait is also delayed: the reader was busy, so there is more.
func TestSocket_DataArrivesWhileIdleRuns_WaitsForOneDelay(t *testing.T) {
	s, far, d := delayed(t, true)
	s.onIdle(func() bool {
		if _, err := io.WriteString(far, "x"); err != nil {
			t.Error(err)
		}
		return true
	})
	buf := make([]byte, 16)
	if n, err := s.Read(buf); n != 1 || err != nil || len(d.sleeps) != 1 {
		t.Errorf("%d bytes, %v, %d delays", n, err, len(d.sleeps))
	}
}

func TestSocket_DelayedRead_ReturnsAllDataInOrder(t *testing.T) {
	s, far, d := delayed(t, true)
	want := pattern(1 << 20)
	rest := want
	next := func() {
		n := min(len(rest), 1000)
		if _, err := far.Write(rest[:n]); err != nil {
			t.Error(err)
		}
		rest = rest[n:]
	}
	d.during = next // more data arrives during a delay
	s.onIdle(func() bool { next(); return true })
	var got []byte
	buf := make([]byte, 1500)
	for len(got) < len(want) {
		n, err := s.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("the received bytes differ")
	}
	if len(d.sleeps) == 0 {
		t.Error("no read was delayed")
	}
}

func TestSocket_PeerClosesWhileReaderWaits_ReadReportsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		reset bool
		want  error
	}{"closed": {false, io.EOF}, "reset": {true, syscall.ECONNRESET}} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/while idle runs=%t", name, early), func(t *testing.T) {
				s, far, _ := delayed(t, true)
				if tc.reset {
					_ = far.SetLinger(0) // Close resets the connection
				}
				s.onIdle(func() bool {
					if early {
						_ = far.Close()
					} else {
						time.AfterFunc(5*time.Millisecond, func() { _ = far.Close() })
					}
					return true
				})
				if n, err := s.Read(make([]byte, 16)); n != 0 || !errors.Is(err, tc.want) {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
		}
	}
}
