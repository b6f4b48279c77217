// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// listenWebSocket serves WebSocket with these subprotocols on every path. It sends the upgrade
// requests to requests.
func listenWebSocket(t *testing.T, subprotocols []string, serve func(*websocket.Conn)) (hostPort string, requests chan *http.Request) {
	t.Helper()
	requests = make(chan *http.Request, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upgrader := websocket.Upgrader{Subprotocols: subprotocols}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case requests <- r:
		default:
		}
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		serve(c)
	})}
	done := make(chan struct{})
	go func() {
		_ = server.Serve(l)
		close(done)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr().String(), requests
}

var speaksMQTT = []string{"mqtt"}

// wsEcho echoes all messages.
func wsEcho(c *websocket.Conn) {
	for {
		kind, data, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func TestWebSocket_Request_HasPathAndSubprotocol(t *testing.T) {
	hostPort, requests := listenWebSocket(t, speaksMQTT, wsEcho)
	wantEcho(t, dial(t, Config{HostPort: hostPort, WebSocket: true, Path: "/mqtt/a%2Fb?x=1&y=%20"}))
	r := <-requests
	if r.RequestURI != "/mqtt/a%2Fb?x=1&y=%20" || r.Host != hostPort || !slices.Equal(r.Header["Sec-Websocket-Protocol"], speaksMQTT) {
		t.Errorf("requested %s of %s with header %v", r.RequestURI, r.Host, r.Header)
	}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{HostPort: "h.example:80"}, "ws://h.example/"},
		{Config{HostPort: "h.example:443", Path: "/mqtt"}, "ws://h.example:443/mqtt"},
		{Config{HostPort: "[::80]:80"}, "ws://[::80]/"},
		{Config{HostPort: "h.example:443", TLS: clientTLS(newPKI(t)), Path: "/m?q"}, "wss://h.example/m?q"},
		{Config{HostPort: "h.example:8443", TLS: clientTLS(newPKI(t))}, "wss://h.example:8443/"},
	} {
		if got := webSocketURL(&c.cfg); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// recordingConn records all writes.
type recordingConn struct {
	net.Conn
	written [][]byte
}

func (r *recordingConn) Write(p []byte) (int, error) {
	r.written = append(r.written, bytes.Clone(p))
	return r.Conn.Write(p)
}

func TestWebSocket_Write_SendsOneBinaryFrame(t *testing.T) {
	sizes := make(chan int, 10)
	hostPort, _ := listenWebSocket(t, speaksMQTT, func(c *websocket.Conn) {
		for {
			kind, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			if kind != websocket.BinaryMessage {
				t.Errorf("a frame of kind %d", kind)
			}
			sizes <- len(data)
		}
	})
	cfg := Config{HostPort: hostPort, WebSocket: true}
	below := &recordingConn{Conn: dialBelow(t, &cfg)}
	c := addTo(t, &cfg, below)
	below.written = nil
	for _, n := range []int{1, 0, 126, maxFrame, maxFrame + 7} {
		if written, err := c.Write(make([]byte, n)); written != n || err != nil {
			t.Fatalf("%d of %d bytes, %v", written, n, err)
		}
	}
	for _, want := range []int{1, 126, maxFrame, maxFrame, 7} {
		if got := <-sizes; got != want {
			t.Errorf("a message of %d bytes, want %d", got, want)
		}
	}
	if len(below.written) != 5 {
		t.Errorf("%d writes below", len(below.written))
	}
	for _, frame := range below.written {
		if frame[0] != 0x82 { // a binary message in a single frame
			t.Errorf("a frame begins with %#x", frame[0])
		}
	}
}

func TestWebSocket_Read_CrossesFramesAndFragments(t *testing.T) {
	var want []byte
	hostPort, _ := listenWebSocket(t, speaksMQTT, func(c *websocket.Conn) {
		for _, part := range [][]byte{{1}, {}, {2, 3}, bytes.Repeat([]byte{4}, 300_000)} {
			_ = c.WriteMessage(websocket.BinaryMessage, part)
		}
		// A message of three fragments, a ping between them.
		raw := c.NetConn()
		for _, frame := range []string{"\x02\x02ab", "\x89\x01p", "\x00\x01c", "\x80\x00"} {
			_, _ = io.WriteString(raw, frame)
		}
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(testTimeout))
		_, _, _ = c.ReadMessage()
	})
	want = slices.Concat([]byte{1, 2, 3}, bytes.Repeat([]byte{4}, 300_000), []byte("abc"))
	c := dial(t, Config{HostPort: hostPort, WebSocket: true})
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
	}
	for range 2000 { // the library panics if it is read again after an error
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
}

func TestWebSocket_PingWhileAWriteBlocks_IsAnswered(t *testing.T) {
	release, ponged := make(chan struct{}), make(chan string, 1)
	hostPort, _ := listenWebSocket(t, speaksMQTT, func(c *websocket.Conn) {
		for _, data := range []string{"1", "2", "3"} {
			_ = c.WriteControl(websocket.PingMessage, []byte(data), time.Now().Add(testTimeout))
		}
		_ = c.WriteMessage(websocket.BinaryMessage, []byte("read on"))
		<-release
		c.SetPongHandler(func(data string) error {
			select {
			case ponged <- data:
			default:
			}
			return nil
		})
		for {
			if _, _, err := c.NextReader(); err != nil {
				return
			}
		}
	})
	cfg := Config{HostPort: hostPort, WebSocket: true}
	c := addTo(t, &cfg, dialBelow(t, &cfg))
	waiting := make(chan error, 1)
	go func() {
		for range 200 { // more than the system's buffers hold
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				waiting <- err
				return
			}
		}
		waiting <- nil
	}()
	start := time.Now()
	got := make([]byte, len("read on"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "read on" {
		t.Fatalf("%q, %v", got, err)
	}
	t.Logf("read after %v", time.Since(start))
	select {
	case err := <-waiting:
		t.Fatalf("the write did not block: %v", err)
	default:
	}
	close(release)
	if data := <-ponged; data == "" {
		t.Error("an empty pong")
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

// A server that sends pings and reads nothing must not make the bridge collect pongs.
func TestWebSocket_PingsWithoutEndToAServerThatDoesNotRead_BufferStaysSmall(t *testing.T) {
	const pings = 2_000
	release := make(chan struct{})
	hostPort, _ := listenWebSocket(t, speaksMQTT, func(c *websocket.Conn) {
		ping := append([]byte{0x89, 125}, make([]byte, 125)...)
		for range pings {
			if _, err := c.NetConn().Write(ping); err != nil {
				return
			}
			time.Sleep(20 * time.Microsecond) // so that the bridge could answer each of them
		}
		_ = c.WriteMessage(websocket.BinaryMessage, []byte("last"))
		<-release
	})
	defer close(release)
	c := dial(t, Config{HostPort: hostPort, WebSocket: true})
	if _, err := c.Write(make([]byte, 32<<20)); err != nil { // more than the system accepts
		t.Fatal(err)
	}
	before := c.Written()
	got := make([]byte, len("last"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "last" {
		t.Fatalf("%q, %v", got, err)
	}
	if n := c.Written() - before; n > 1000 {
		t.Errorf("%d bytes of pongs wait for the server", n)
	}
}

// The bridge must not seem to make no progress while a server sends control frames only: it would be restarted.
func TestWebSocket_ControlFramesWithoutEnd_IdleIsCalled(t *testing.T) {
	const size = 40 << 20
	hostPort, _ := listenWebSocket(t, speaksMQTT, func(c *websocket.Conn) {
		pongs := bytes.Repeat([]byte{0x8a, 0}, 64<<10)
		for range size / len(pongs) {
			if _, err := c.NetConn().Write(pongs); err != nil {
				return
			}
		}
		_ = c.WriteMessage(websocket.BinaryMessage, []byte("last"))
		_, _, _ = c.ReadMessage()
	})
	c := dial(t, Config{HostPort: hostPort, WebSocket: true})
	idle := 0
	c.OnIdle(func() bool {
		idle++
		return false
	})
	got := make([]byte, len("last"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "last" {
		t.Fatalf("%q, %v", got, err)
	}
	if idle < size/maxWithoutIdle/2 {
		t.Errorf("idle was called %d times during %d bytes", idle, size)
	}
}

func TestSocketBelow_TLS_IsFound(t *testing.T) {
	near, _ := sockets(t)
	s := newSocket(near, time.Minute)
	secure := &alertConn{Conn: tls.Client(s, clientTLS(newPKI(t)))}
	for _, conn := range []net.Conn{s, secure, &resumedConn{alertConn: secure}} {
		if socketBelow(conn) != s {
			t.Errorf("the socket below %T is not found", conn)
		}
	}
	if socketBelow(near) != nil {
		t.Error("there is a socket below a connection of the system")
	}
}

func TestWebSocket_Close_SendsCloseFrameAndEndsBlockedWrite(t *testing.T) {
	t.Run("close frame", func(t *testing.T) {
		code := make(chan int, 1)
		hostPort, _ := listenWebSocket(t, speaksMQTT, func(c *websocket.Conn) {
			_, _, err := c.ReadMessage()
			var frame *websocket.CloseError
			if errors.As(err, &frame) {
				code <- frame.Code
				return
			}
			code <- -1
		})
		c := dial(t, Config{HostPort: hostPort, WebSocket: true})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if got := <-code; got != websocket.CloseNormalClosure {
			t.Errorf("code %d", got)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("a write after Close succeeds")
		}
	})
	t.Run("half", func(t *testing.T) {
		hostPort, _ := listenWebSocket(t, speaksMQTT, wsEcho)
		c := dial(t, Config{HostPort: hostPort, WebSocket: true})
		if _, err := c.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "last words" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("blocked", func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		hostPort, _ := listenWebSocket(t, speaksMQTT, func(*websocket.Conn) { <-release })
		cfg := Config{HostPort: hostPort, WebSocket: true}
		c := addTo(t, &cfg, dialBelow(t, &cfg))
		ended := make(chan error, 1)
		go func() {
			for {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil {
					ended <- err
					return
				}
			}
		}()
		if err := c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write past its deadline: %v", err)
		}
		start := time.Now()
		_ = c.Close()
		if took := time.Since(start); took > 10*closeFrameTimeout {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestWebSocket_ServerEndsIt_ReportsReason(t *testing.T) {
	raw := func(frames string) func(*websocket.Conn) {
		return func(c *websocket.Conn) {
			_, _ = io.WriteString(c.NetConn(), frames)
			_, _, _ = c.ReadMessage()
		}
	}
	closes := func(code int) func(*websocket.Conn) {
		return raw("\x88\x05" + string([]byte{byte(code >> 8), byte(code)}) + "now")
	}
	for _, c := range []struct {
		name         string
		serve        func(*websocket.Conn)
		reason, text string
	}{
		{"text frame", raw("\x81\x02hi"), v1alpha1.ReasonProtocolError, "the server sent a WebSocket text frame, but MQTT uses only binary frames; check that the URL's path leads to an MQTT server"},
		{"bad opcode", raw("\x83\x00"), v1alpha1.ReasonProtocolError, "the server sent invalid WebSocket data: bad opcode 3; see the server's log"},
		{"masked", raw("\x82\x81abcdx"), v1alpha1.ReasonProtocolError, "the server sent invalid WebSocket data: bad MASK; see the server's log"},
		{"policy violation", closes(1008), v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 1008: policy violation; check the server's rules for this client)"},
		{"protocol error", closes(1002), v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 1002: protocol error)"},
		{"unsupported data", closes(1003), v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 1003: unsupported data)"},
		{"too big", closes(1009), v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 1009: message too big; check the server's limits)"},
		{"internal error", closes(1011), v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 1011: internal server error; see the server's log)"},
		{"restart", closes(1012), v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 1012: the server restarts or is overloaded)"},
		{"own code", closes(4321), v1alpha1.ReasonConnectionClosed, "the server closed the WebSocket connection (code 4321)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostPort, _ := listenWebSocket(t, speaksMQTT, c.serve)
			_, err := io.ReadAll(dial(t, Config{HostPort: hostPort, WebSocket: true}))
			wantError(t, err, c.reason, c.text)
		})
	}
	t.Run("cut", func(t *testing.T) {
		hostPort, _ := listenWebSocket(t, speaksMQTT, func(c *websocket.Conn) { _ = c.NetConn().Close() })
		if _, err := io.ReadAll(dial(t, Config{HostPort: hostPort, WebSocket: true})); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err)
		}
	})
}
