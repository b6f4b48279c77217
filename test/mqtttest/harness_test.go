// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

func TestMain(m *testing.M) {
	m.Run()
	RemoveRunnerBinary()
}

func TestBroker_Restart_KeepsAcknowledgedMessages(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		b := StartBroker(t, BrokerOptions{Persistence: true})
		c := StartCollector(t, "x/#", "s", b)
		p := StartPublisher(t, b, traffic.PublisherConfig{Topic: "x/y", Stream: "s", QoS: qos, Rate: 500})
		if err := c.WaitCount(200, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		b.Restart()
		acknowledged := len(p.Ledger().Acknowledged)
		if err := p.WaitAcknowledged(acknowledged+200, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := p.StopAndDrain(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitAll(p.Ledger(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		r := traffic.Compare(p.Ledger(), c.Arrivals())
		t.Logf("QoS %d: %s", qos, r)
		if len(r.Lost)+r.Duplicates+len(r.Disorder) > 0 {
			t.Error("without a bridge, no message may be lost, duplicated or out of order")
		}
	}
}

func TestBroker_KillAfterSave_KeepsSubscription(t *testing.T) {
	b := StartBroker(t, BrokerOptions{Persistence: true})
	c := StartCollector(t, "x/#", "s", b)
	b.Kill()
	c.Close()
	b.Start()
	p := StartPublisher(t, b, traffic.PublisherConfig{Topic: "x/y", Stream: "s", QoS: 1, Count: 10})
	if err := p.WaitDone(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	again := StartCollector(t, "x/#", "s", b)
	if err := again.WaitAll(p.Ledger(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestBroker_Frozen_DoesNotAnswer(t *testing.T) {
	b := StartBroker(t, BrokerOptions{})
	b.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := traffic.Ping(ctx, b.Dial, "x"); err == nil {
		t.Error("a frozen broker answered")
	}
	b.Thaw()
	if err := traffic.Ping(t.Context(), b.Dial, "x"); err != nil {
		t.Errorf("a thawed broker does not answer: %v", err)
	}
}

// echo starts a server that sends back all data that it receives.
func echo(t *testing.T) string {
	t.Helper()
	l, _ := listen(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestProxy_Delay_DoesNotThrottle(t *testing.T) {
	const delay = 25 * time.Millisecond
	p := StartProxy(t, echo(t), delay)
	c, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	began := time.Now()
	const size = 8 << 20
	go func() { _, _ = c.Write(make([]byte, size)) }()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if first := time.Since(began); first < 2*delay {
		t.Errorf("the first byte was back after %s, want at least %s", first, 2*delay)
	}
	if _, err := io.ReadFull(c, make([]byte, size-1)); err != nil {
		t.Fatal(err)
	}
	if all := time.Since(began); all > 2*time.Second {
		t.Errorf("8 MiB took %s: the proxy throttles", all)
	}
}

func TestProxy_BlackHoleAndCut_StopData(t *testing.T) {
	p := StartProxy(t, echo(t), 0)
	c, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p.BlackHole(true)
	_, _ = c.Write([]byte("x"))
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came out of a black hole", n)
	}
	p.BlackHole(false)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("no data arrived after the black hole was turned off: %v", err)
	}
	p.Cut()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a cut connection can be read")
	}
	if p.Accepted() != 1 {
		t.Errorf("%d connections counted, want 1", p.Accepted())
	}
}

func TestParseMetrics_Scrape_ReturnsSamples(t *testing.T) {
	m, err := ParseMetrics("# HELP a b\n" + `a{x="1",y="q\"}"} 2` + "\n" + `a{x="2"} 3e0` + "\nb 1\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Sum("a"); got != 5 {
		t.Errorf("sum of a = %v, want 5", got)
	}
	if got := m.Sum("a", "x=1"); got != 2 {
		t.Errorf("sum of a{x=1} = %v, want 2", got)
	}
}

func TestProxy_CutInBlackHole_EndsConnection(t *testing.T) {
	p := StartProxy(t, echo(t), 0)
	c, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	p.BlackHole(true)
	_, _ = c.Write([]byte("x"))
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = c.Read(make([]byte, 1)) // wait until the black hole holds the byte
	p.Cut()
}
