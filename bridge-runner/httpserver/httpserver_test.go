// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second

var chunk = strings.Repeat("x", 1<<20)

// serve serves /livez, and /large, whose answer is larger than the buffers of a socket.
func serve(t *testing.T, change func(*http.Server)) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) {
		for range 8 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	})
	server := New(mux)
	if change != nil {
		change(server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// connect connects and writes the text say.
func connect(t *testing.T, address, say string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, say) // the server may have closed the connection already
	return conn
}

// wantAlive checks that /livez answers with status 200.
func wantAlive(t *testing.T, address string) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}} // as the kubelet does
	got, err := client.Get("http://" + address + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close()
	if got.StatusCode != http.StatusOK {
		t.Errorf("/livez answers %s", got.Status)
	}
}

// wantClosed checks that the server has closed a connection.
func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // as io.Copy returns it
			t.Fatal("the connection is still open")
		}
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestServer_3000Connections_AnswersAndUsesLittleMemory(t *testing.T) {
	for name, say := range map[string]string{
		"idle":                 "",
		"idle after a request": "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"within the header":    "GET /livez HTTP/1.1\r\nHost: x\r\nX: ",
		"with large headers":   "GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", headerBytes/2),
		"answers that wait":    "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
		"within the body":      "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			address := serve(t, nil)
			before := memory()
			var first net.Conn
			for i := range 3000 {
				conn := connect(t, address, "")
				_ = conn.(*net.TCPConn).SetReadBuffer(4096) // so that the server cannot send the whole answer
				_, _ = io.WriteString(conn, say)            // the server may have closed the connection already
				if i == 0 {
					first = conn
				}
				if i%500 == 499 {
					wantAlive(t, address)
				}
			}
			if !strings.Contains(say, "large") { // otherwise the connection receives a part of the answer first
				wantClosed(t, first)
			}
			wantAlive(t, address)
			// The clients are in this process, too. Closed connections release their memory with
			// a delay.
			after := memory()
			for end := time.Now().Add(patience); after > before+10<<20 && time.Now().Before(end); after = memory() {
				time.Sleep(10 * time.Millisecond)
			}
			if after > before+10<<20 {
				t.Errorf("the process uses %d KB more", (after-before)>>10)
			}
			t.Logf("%d KB more", (int64(after)-int64(before))>>10)
		})
	}
}

func TestServer_SlowClients_ClosesThemInTime(t *testing.T) {
	address := serve(t, func(s *http.Server) {
		s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = s.ReadHeaderTimeout/50, s.ReadTimeout/50, s.WriteTimeout/50, s.IdleTimeout/50
	})
	silent := connect(t, address, "")
	header := connect(t, address, "GET /livez HT")
	idle := connect(t, address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, conn := range []net.Conn{silent, header, idle} {
		wantClosed(t, conn)
	}
	slow := connect(t, address, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
	time.Sleep(writeTimeout/50 + 100*time.Millisecond) // the client reads nothing during this time
	answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err == nil {
		t.Error("a client that does not read gets the whole answer")
	}
}

func TestServer_ConnectionInUse_OutlastsWaitingConnections(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-end
		_, _ = io.WriteString(w, "metrics")
	})
	server := New(mux)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	scrape := make(chan error, 1)
	go func() {
		got, err := http.Get(fmt.Sprintf("http://%s/metrics", listener.Addr()))
		if err == nil {
			_, err = io.ReadAll(got.Body)
			_ = got.Body.Close()
		}
		scrape <- err
	}()
	<-begun
	for range MaxConnections - 1 {
		connect(t, listener.Addr().String(), "")
	}
	time.Sleep(waitingAfter + 100*time.Millisecond) // from then on the connections count as waiting
	for range MaxConnections / 2 {
		connect(t, listener.Addr().String(), "")
	}
	close(end)
	if err := <-scrape; err != nil {
		t.Error(err)
	}
}

func TestServer_ManyConnections_KeepsTheNewest(t *testing.T) {
	address := serve(t, nil)
	conns := make([]net.Conn, 0, 1000)
	for range cap(conns) {
		conns = append(conns, connect(t, address, ""))
	}
	wantAlive(t, address) // so that the server has accepted all of them, and one more
	first := len(conns) - MaxConnections + 1
	for _, conn := range conns[:first] {
		wantClosed(t, conn)
	}
	for i, conn := range conns[first:] {
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("connection %d of %d: %v", first+i, len(conns), err)
		}
		_ = answer.Body.Close()
	}
}
