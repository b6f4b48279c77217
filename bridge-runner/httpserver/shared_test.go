// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// listen serves a handler without a bound for the time of an answer.
func listen(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// fetch returns the answer to a request.
func fetch(ctx context.Context, address, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestShared_RequestsThatWait_GetOneAnswerMadeAfterTheirArrival(t *testing.T) {
	var made atomic.Int64
	begun, resume := make(chan struct{}, 100), make(chan struct{})
	address := listen(t, Shared(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-resume
		_, _ = fmt.Fprint(w, made.Add(1))
	})))
	first := make(chan string)
	go func() {
		body, err := fetch(t.Context(), address, "/")
		if err != nil {
			t.Error(err)
		}
		first <- body
	}()
	<-begun // the requests that follow arrive later than the first answer is made
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if body, err := fetch(t.Context(), address, "/"); err != nil || body != "2" {
				t.Errorf("a request that has waited gets the answer %q, %v; want 2", body, err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond) // until all of them have arrived
	close(resume)
	if body := <-first; body != "1" {
		t.Errorf("the first request gets the answer %q", body)
	}
	all.Wait()
	if body, err := fetch(t.Context(), address, "/"); err != nil || body != "3" {
		t.Errorf("the next request gets the answer %q, %v; want 3", body, err)
	}
}

func TestShared_ClientsThatLeave_MakeNoAnswers(t *testing.T) {
	var made atomic.Int64
	begun, resume := make(chan struct{}, 100), make(chan struct{})
	address := listen(t, Shared(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-resume
		_, _ = fmt.Fprint(w, made.Add(1), r.URL.Path)
	})))
	go func() { _, _ = fetch(t.Context(), address, "/first") }()
	<-begun
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := fetch(ctx, address, fmt.Sprint("/", i)); err == nil {
				t.Error("a request is answered")
			}
		})
	}
	all.Wait()
	time.Sleep(100 * time.Millisecond) // until the server has noticed
	close(resume)
	if body, err := fetch(t.Context(), address, "/last"); err != nil || body != "2/last" {
		t.Errorf("the answer is %q, %v; want the second one", body, err)
	}
}

// Clients choose the URLs of their requests. While some requests always wait, the answers to others must not be kept.
func TestShared_RequestsWithDifferentURLs_KeepNoAnswers(t *testing.T) {
	const clients, requests = 8, 500
	most := 0 // one answer at a time is made
	var handler *shared
	handler = Shared(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		handler.mu.Lock()
		most = max(most, len(handler.waiting))
		handler.mu.Unlock()
		_, _ = io.WriteString(w, "text")
	})).(*shared)
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := range requests {
				handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, fmt.Sprintf("/status?%d-%d", client, i), http.NoBody))
			}
		})
	}
	all.Wait()
	if most > clients {
		t.Errorf("the answers to %d requests are kept for %d clients", most, clients)
	}
	if n := len(handler.waiting); n > 0 {
		t.Errorf("%d answers are kept without a client", n)
	}
}

func TestShared_HandlerPanics_NextRequestIsAnswered(t *testing.T) {
	address := listen(t, Shared(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Test", "a")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "text")
	})))
	if _, err := fetch(t.Context(), address, "/panic"); err == nil {
		t.Error("a panic has an answer")
	}
	resp, err := http.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Test") != "a" {
		t.Errorf("the answer is %s with %v", resp.Status, resp.Header)
	}
}

func TestShared_ManySlowReaders_CutsTheOldestAnswersOff(t *testing.T) {
	const size = maxHeld / 2 // more than the buffers of both systems may hold
	text := strings.Repeat("x", size)
	address := listen(t, Shared(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })))
	var slow []net.Conn
	for i := range minHeld + 3 {
		conn := connect(t, address, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", i))
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_ = conn.(*net.TCPConn).SetReadBuffer(256 << 10)                 // otherwise it grows up to 6 MB
		if _, err := bufio.NewReaderSize(conn, 16).Peek(1); err != nil { // the answer is being written
			t.Fatal(err)
		}
		slow = append(slow, conn)
	}
	for i, conn := range slow {
		n, err := io.Copy(io.Discard, conn)
		if complete := err == nil && n > size-100; complete != (i >= 3) {
			t.Errorf("the reader %d of %d gets %d bytes, %v", i, len(slow), n, err)
		}
	}
}

// A client with many connections must not end the request of another one.
func TestServer_ManyConnectionsOfOneClient_KeepTheConnectionsOfOthers(t *testing.T) {
	address := serve(t, nil)
	other := connect(t, address, "")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range 2 * MaxConnections {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil && strings.Contains(err.Error(), "assign") {
			t.Skip("this system has one loopback address")
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	wantAlive(t, address) // so that the server has accepted all of them
	_, _ = io.WriteString(other, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(other), nil)
	if err != nil {
		t.Fatalf("the connection of another client is closed: %v", err)
	}
	_ = answer.Body.Close()
}
