// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// sockets returns the two ends of a TCP connection with small buffers.
func sockets(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if near, err = net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	if err := errors.Join(near.SetWriteBuffer(64<<10), far.SetReadBuffer(256<<10)); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// pattern returns n bytes whose pattern repeats only after a long distance.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

func TestSocket_PeerDoesNotRead_WritesDoNotBlockAndKeepOrder(t *testing.T) {
	near, far := sockets(t)
	s := newSocket(near, time.Minute)
	defer func() { _ = s.Close() }()
	writable := make(chan struct{}, 1)
	s.onWritable(func() { writable <- struct{}{} })
	want := pattern(8 << 20)
	for rest := want; len(rest) > 0; { // the peer does not read
		n := min(len(rest), 1+len(rest)%7777)
		if _, err := s.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if s.buffered() == 0 {
		t.Error("the system has accepted 8 MB")
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the received bytes differ")
	}
	<-writable
}

// A process with many bridges has thousands of connections, so a connection must not need a
// goroutine while the system accepts all data.
func TestSocket_NothingBuffered_HasNoGoroutine(t *testing.T) {
	near, far := sockets(t)
	s := newSocket(near, time.Minute)
	defer func() { _ = s.Close() }()
	if s.fd == nil {
		t.Skip("on this system, the goroutine does all writes")
	}
	runs := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.running
	}
	for _, size := range []int{10, 8 << 20, 10} {
		if _, err := s.Write(pattern(size)); err != nil {
			t.Fatal(err)
		}
		if size == 10 && runs() {
			t.Error("the goroutine runs although the system has accepted all data")
		}
		if _, err := io.CopyN(io.Discard, far, int64(size)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); runs(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the goroutine runs although all data is written")
			}
		}
	}
}

func TestSocket_CloseWrite_SendsBufferedData(t *testing.T) {
	near, far := sockets(t)
	s := newSocket(near, time.Minute)
	defer func() { _ = s.Close() }()
	want := pattern(4 << 20)
	if _, err := s.Write(want); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.CloseWrite() }()
	got, err := io.ReadAll(far)
	if err != nil || !bytes.Equal(got, want) || <-closed != nil {
		t.Errorf("%d bytes received: %v", len(got), err)
	}
}

// TLS and WebSocket set deadlines to bound their own writes: TLS sets a deadline that has
// passed after its last alert. The writes that wait in the socket are not their own.
func TestSocket_DeadlinesFromAbove_BufferedDataIsSent(t *testing.T) {
	near, far := sockets(t)
	s := newSocket(near, time.Minute)
	defer func() { _ = s.Close() }()
	want := pattern(4 << 20)
	if _, err := s.Write(want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	for n := 0; n < len(got); n += writeChunk { // at any state of the goroutine
		if n == len(got)/2 {
			go func() { _ = s.CloseWrite() }()
		}
		if err := errors.Join(s.SetWriteDeadline(time.Now()), s.SetDeadline(time.Now())); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(far, got[n:n+writeChunk]); err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("the received bytes differ")
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read after its deadline: %v", err)
	}
}

func TestSocket_PeerAcceptsNothing_ConnectionFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		s := newSocket(near, 10*time.Second)
		start := time.Now()
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("the reader ends with %v after %v", err, time.Since(start))
		}
		if err := s.failure(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection failed with %v", err)
		}
		if _, err := s.Write([]byte("x")); err == nil {
			t.Error("a write after the failure succeeds")
		}
		_ = s.Close()
	})
}

func TestSocket_SlowPeer_ConnectionSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := newSocket(near, 10*time.Second)
		if _, err := s.Write(make([]byte, 2*writeChunk)); err != nil {
			t.Fatal(err)
		}
		for range 4 { // the timeout restarts with each accepted piece
			time.Sleep(9 * time.Second)
			if _, err := io.ReadFull(far, make([]byte, writeChunk/2)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err, u := s.failure(), s.transit(); err != nil || u != (Transit{2 * writeChunk, 2 * writeChunk, 0}) {
			t.Errorf("after 36 seconds: %+v, %v", u, err)
		}
		_ = s.Close()
	})
}

func TestSocket_WriteAfterClose_Fails(t *testing.T) {
	near, far := sockets(t)
	s := newSocket(near, time.Second)
	_ = s.Close()
	if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
	if all, _ := io.ReadAll(far); len(all) > 0 {
		t.Errorf("the peer received %q", all)
	}
}

func TestSocket_Close_EndsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine remains
		for _, write := range []int{0, 1, 1 << 20} {
			near, far := net.Pipe()
			s := newSocket(near, time.Hour)
			if _, err := s.Write(make([]byte, write)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			waiting := make(chan struct{})
			go func() {
				defer close(waiting)
				_ = s.CloseWrite() // until Close
			}()
			synctest.Wait()
			_ = s.Close()
			<-waiting
			_ = far.Close()
		}
	})
}
