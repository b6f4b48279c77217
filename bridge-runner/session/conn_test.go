// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
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

func TestRoomIsWaitedForAndAWriteNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		c := newBufferedConn(near, time.Hour, func(error) {})
		c.waitForRoom() // there is room
		for range 3 {
			if _, err := c.Write(make([]byte, writeBuffer)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		waited := make(chan struct{})
		go func() {
			c.waitForRoom()
			close(waited)
		}()
		synctest.Wait()
		select {
		case <-waited:
			t.Error("there is room in a full buffer")
		default:
		}
		c.abort()
		<-waited
	})
}

func TestASlowLinkIsToldFromADeadOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := newBufferedConn(near, 10*time.Second, func(error) {})
		if _, err := c.Write(make([]byte, writeChunk)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if c.strained().After(c.start) {
			t.Error("a write that nobody took counts")
		}
		if _, err := io.ReadFull(far, make([]byte, writeChunk)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.strained().Sub(c.start); got != 9*time.Second {
			t.Errorf("the slow write ended after %v", got)
		}
		c.abort()
	})
}

func TestNothingIsWrittenAfterAbort(t *testing.T) {
	near, far := net.Pipe()
	c := newBufferedConn(near, time.Second, func(error) {})
	c.abort()
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
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

func TestWhatIsNoMQTTIsRefusedBeforeTheClientSeesIt(t *testing.T) {
	connack := string([]byte{0x20, 2, 0, 0})
	for _, c := range []struct{ name, sent, want string }{
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n", `begins with "HTTP"`},
		{"CONNACK of MQTT 5", "\x20\x03\x00\x84\x00", "CONNACK of 3 bytes"},
		{"unknown CONNACK code", "\x20\x02\x00\x06", "code 6"},
		{"huge CONNACK", "\x20\xff\xff\xff\x7f", "CONNACK of 255 bytes"},
		{"SUBACK with too many codes", connack + "\x90\x04\x00\x01\x01\x01", "malformed SUBACK"},
		{"SUBACK without codes", connack + "\x90\x02\x00\x01", "malformed SUBACK"},
		{"QoS 3", connack + "\x36\x05\x00\x01a\x00\x01", "QoS 3"},
		{"type 0", connack + "\x00\x00", "type 0"},
		{"type 15", connack + "\xf0\x00", "type 15"},
		{"a client's packet", connack + "\xc0\x00", "type 12"},
		{"PUBACK flags", connack + "\x41\x02\x00\x01", "malformed PUBACK"},
		{"PUBREL flags", connack + "\x60\x02\x00\x01", "malformed PUBREL"},
		{"endless length", connack + "\x30\xff\xff\xff\xff\x01", "remaining length"},
	} {
		g := newGuard(bytes.NewReader([]byte(c.sent)))
		g.filters.Store(1)
		all, err := io.ReadAll(g)
		var protocol protocolError
		if !errors.As(err, &protocol) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := string(all); got != "" && got != connack {
			t.Errorf("%s: handed on %q", c.name, got)
		}
	}
}

func TestWhatIsMQTTIsHandedOnAsItCame(t *testing.T) {
	publish := append([]byte{0x32, 0xc8, 0x01, 0, 1, 'a', 0, 7}, bytes.Repeat([]byte{0xff}, 195)...)
	sent := slices.Concat([]byte{0x20, 2, 1, 0}, publish, []byte{0x90, 3, 0, 1, 0x80}, []byte{0x40, 2, 0, 1},
		[]byte{0x50, 2, 0, 1}, []byte{0x62, 2, 0, 1}, []byte{0x70, 2, 0, 1}, []byte{0xd0, 0}, publish)
	for size := 1; size < 20; size++ {
		g := newGuard(iotest.OneByteReader(bytes.NewReader(sent)))
		g.filters.Store(1)
		var got []byte
		buffer := make([]byte, size)
		for {
			n, err := g.Read(buffer)
			got = append(got, buffer[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("by %d bytes: %x, want %x", size, got, sent)
		}
	}
}
