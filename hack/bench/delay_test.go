// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestLineDelaysAndDoesNotThrottle(t *testing.T) {
	const (
		oneWay = 250 * time.Millisecond
		size   = 2 << 20
		// throttled is the time that the transfer would take if each buffer waited for one round
		// trip.
		throttled = size / bufferSize * 2 * oneWay
	)
	server, err := net.Listen("tcp", loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := server.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	t.Cleanup(func() { _ = server.Close() })
	l, err := startLine(server.Addr().String(), oneWay)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); l.close() })

	start := time.Now()
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 2*oneWay {
		t.Errorf("the round trip of a byte took %s, want at least %s", took, 2*oneWay)
	}
	start = time.Now()
	go func() { _, _ = c.Write(make([]byte, size)) }()
	if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > throttled/2 {
		t.Errorf("%d MiB made the round trip in %s, want less than %s", size>>20, took, throttled/2)
	}
}
