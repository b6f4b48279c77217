// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"errors"
	"net"
	"runtime"
	"testing"
	"time"
)

// rejectingConn is a connection that accepts no data. Its Close waits for a reader that is
// about to write, as closing a descriptor waits for the calls that use it.
type rejectingConn struct {
	net.Conn
	closing func()
}

var errRejected = errors.New("no data is accepted")

func (rejectingConn) Write([]byte) (int, error)        { return 0, errRejected }
func (rejectingConn) SetWriteDeadline(time.Time) error { return nil }
func (c rejectingConn) Close() error                   { c.closing(); return nil }

func TestSocket_FailedWriteWhileReaderWrites_ClosesWithoutLock(t *testing.T) {
	var s *socket
	made, closed := make(chan struct{}), make(chan struct{})
	conn := rejectingConn{closing: func() {
		<-made
		if _, err := s.Write([]byte("x")); !errors.Is(err, errRejected) {
			t.Errorf("the reader's write: %v, want %v", err, errRejected)
		}
		_ = s.failure()
		close(closed)
	}}
	s = newSocket(conn, time.Minute)
	close(made)
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close is called with the lock held, for which the reader waits")
	}
}

// The reader of a slow peer writes whenever it is idle. When the peer is killed, a write
// fails in the socket's goroutine while the reader is idle.
func TestSocket_SlowPeerIsKilled_ReaderEnds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for range 100 {
		near, far := sockets(t)
		s := newSocket(near, time.Minute)
		done, idle := make(chan error, 1), make(chan struct{}, 1)
		if _, err := s.Write(make([]byte, 1<<20)); err != nil { // more than the buffers of both ends hold
			t.Fatal(err)
		}
		go func() {
			s.onIdle(func() bool {
				idle <- struct{}{}
				for s.failure() == nil {
					runtime.Gosched()
				}
				return false
			})
			_, err := s.Read(make([]byte, 16))
			done <- err
		}()
		<-idle
		_ = far.SetLinger(0) // Close resets the connection
		_ = far.Close()
		select {
		case err := <-done:
			if err == nil {
				t.Fatal("a connection that was reset is read from")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the reader does not end")
		}
		_ = s.Close()
	}
}

// The function that runs before the reader waits may do anything: no call that uses the
// descriptor waits for it.
func TestSocket_IdleFunctionClosesConnection_ReadEnds(t *testing.T) {
	near, _ := sockets(t)
	s := newSocket(near, time.Minute)
	s.onIdle(func() bool {
		_ = s.Close()
		return true
	})
	ended := make(chan error, 1)
	go func() {
		_, err := s.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("the read ends with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Close waits for the reader, which calls it")
	}
}
