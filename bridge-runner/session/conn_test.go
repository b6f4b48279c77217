// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countingConn counts the writes that reach it.
type countingConn struct {
	net.Conn
	writes atomic.Int32
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestWritesAreSentTogetherAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		counting := &countingConn{Conn: near}
		c := newBufferedConn(counting, time.Second, func(err error) { t.Errorf("failed: %v", err) })
		var want []byte
		for i := range 1000 {
			p := []byte{byte(i), byte(i >> 8)}
			want = append(want, p...)
			if _, err := c.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // the first is on its way and not taken, the rest waits
		got := make(chan []byte)
		go func() {
			all, _ := io.ReadAll(far)
			got <- all
		}()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if all := <-got; !bytes.Equal(all, want) {
			t.Errorf("%d bytes came, want %d", len(all), len(want))
		}
		if n := counting.writes.Load(); n > 3 {
			t.Errorf("%d system calls for 1000 writes", n)
		}
	})
}

func TestAPeerThatTakesNothingFailsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		failed := make(chan error, 1)
		c := newBufferedConn(near, 10*time.Second, func(err error) { failed <- err })
		start := time.Now()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("a write after the failure succeeds")
		}
		c.abort()
	})
}

func TestAWriteBlocksWhileTheBufferIsFullButAnAcknowledgementDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		c := newBufferedConn(near, time.Hour, func(error) {})
		blocked := make(chan error)
		go func() {
			for {
				if _, err := c.Write(make([]byte, writeBuffer)); err != nil {
					blocked <- err
					return
				}
			}
		}()
		synctest.Wait()
		if err := c.writeNow([]byte{0x40, 2, 0, 1}); err != nil {
			t.Error(err)
		}
		c.abort()
		if err := <-blocked; err == nil {
			t.Error("the blocked write ends without an error")
		}
	})
}

func TestNothingIsWrittenAfterAbort(t *testing.T) {
	near, far := net.Pipe()
	c := newBufferedConn(near, time.Second, func(error) {})
	c.abort()
	if err := c.writeNow([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after abort: %v", err)
	}
	if all, _ := io.ReadAll(far); len(all) > 0 {
		t.Errorf("the peer received %q", all)
	}
}

func TestCloseLetsAServerReadEverythingWhateverItHasSent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	got := make(chan []byte)
	closing := make(chan struct{})
	go func() {
		server, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = server.Close() }()
		_, _ = server.Write(make([]byte, 1<<20)) // never read by the client
		<-closing
		all, _ := io.ReadAll(server)
		got <- all
	}()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newBufferedConn(client, time.Second, func(error) {})
	want := bytes.Repeat([]byte{0x40, 2, 0, 1}, 10000)
	if _, err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.AfterFunc(closeTimeout/5, func() { close(closing) }) // a server that is behind
		_ = c.Close()
	}()
	if all := <-got; !bytes.Equal(all, want) {
		t.Errorf("the server read %d bytes of %d", len(all), len(want))
	}
}

func TestAServerThatDoesNotSpeakMQTTIsToldAtItsFirstByte(t *testing.T) {
	near, far := net.Pipe()
	c := newBufferedConn(near, time.Second, func(error) {})
	defer c.abort()
	go func() { _, _ = far.Write([]byte("HTTP/1.1 400 Bad Request\r\n")) }()
	_, err := c.Read(make([]byte, 1))
	var other notMQTT
	if !errors.As(err, &other) || !bytes.HasPrefix(other, []byte("HTTP/1.1")) {
		t.Errorf("%v", err)
	}
}
