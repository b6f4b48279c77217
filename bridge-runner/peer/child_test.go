// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childVariable is the environment variable with the trusted fingerprint. If it is set, this process
// is a member that listens until its standard input ends.
const childVariable = "PEER_TEST_TRUSTED"

func runChild() {
	if err := serveAsChild(Fingerprint(os.Getenv(childVariable))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveAsChild prints the address and the fingerprint of the endpoint.
func serveAsChild(trusted Fingerprint) error {
	pair, err := NewCertificate()
	if err != nil {
		return err
	}
	own, err := FingerprintOf(pair)
	if err != nil {
		return err
	}
	e, err := New(Config{
		Group: group, Identity: fmt.Sprintf("child %d", os.Getpid()), Certificate: pair, Trusted: trust(trusted),
		Interval: interval, Silence: 6 * interval, Handler: newRecorder(), Log: slog.New(slog.DiscardHandler),
	}, State{Role: "Active", Term: Term{Lease: 1}})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = e.Serve(context.Background(), l) }() // until the process ends
	fmt.Println(l.Addr(), own)
	_, err = io.Copy(io.Discard, os.Stdin)
	e.Close()
	return err
}

// child is a member in a process of its own.
type child struct {
	t       *testing.T
	cmd     *exec.Cmd
	stdin   io.Closer
	address netip.AddrPort
	finger  Fingerprint
}

func startChild(t *testing.T, trusted Fingerprint) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(trusted))
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin = stdin
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // the test may have ended it
		_ = c.cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address, finger, _ := strings.Cut(strings.TrimSpace(line), " ")
	c.address, c.finger = netip.MustParseAddrPort(address), Fingerprint(finger)
	return c
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// connectToChild connects a new endpoint to a new child, and waits for a heartbeat.
func connectToChild(t *testing.T, limit time.Duration) (c *child, e *Endpoint, events *recorder) {
	t.Helper()
	pair, own := certificate(t)
	c = startChild(t, own)
	e, events = start(t, "standby", pair, trust(c.finger), func(cfg *Config) { cfg.Silence = limit })
	dial(t, e, c.address)
	await(t, events.beats, "a heartbeat")
	return c, e, events
}

func TestConn_ProcessKilled_IsProvedWithinMilliseconds(t *testing.T) {
	const bound = 5 * time.Millisecond
	var noticed, proved []time.Duration
	for range 11 {
		c, e, events := connectToChild(t, testTimeout)
		killed := time.Now()
		c.signal(syscall.SIGKILL)
		end := events.wantEnding(t, Abrupt)
		_, evidence, err := e.Dial(t.Context(), end.conn.Address())
		proved = append(proved, time.Since(killed))
		noticed = append(noticed, end.at.Sub(killed))
		if evidence != Refused {
			t.Errorf("dialling the killed process: %s: %v", evidence, err)
		}
		e.Close()
	}
	slices.Sort(noticed)
	slices.Sort(proved)
	middle, last := len(proved)/2, len(proved)-1
	t.Logf("from SIGKILL to the end of the connection: %s, median %s, at most %s", noticed[0], noticed[middle], noticed[last])
	t.Logf("from SIGKILL to the refused dial: %s, median %s, at most %s", proved[0], proved[middle], proved[last])
	if proved[0] > bound { // the best one, because the machine may be busy
		t.Errorf("the proof took %s, want %s", proved[0], bound)
	}
}

func TestConn_ProcessFrozen_IsSilentAndProvesNothing(t *testing.T) {
	c, e, events := connectToChild(t, silence)
	frozen := time.Now()
	c.signal(syscall.SIGSTOP)
	if took := events.wantEnding(t, Silent).at.Sub(frozen); took < silence-2*interval {
		t.Errorf("the silence was reported after %s, want %s", took, silence)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, evidence, err := e.Dial(ctx, c.address); evidence != NoAnswer {
		t.Errorf("dialling the frozen process: %s: %v", evidence, err)
	}
	c.signal(syscall.SIGCONT)
	again := dial(t, e, c.address)
	if want := fmt.Sprintf("child %d", c.cmd.Process.Pid); again.Peer().Identity != want {
		t.Errorf("the identity is %q, want %q", again.Peer().Identity, want)
	}
}

// The process that was frozen itself finds messages of the time, and no silence.
func TestConn_ContinuedAfterFreeze_KeepsTheConnection(t *testing.T) {
	c, _, events := connectToChild(t, testTimeout)
	c.signal(syscall.SIGSTOP)
	time.Sleep(20 * interval) // more than the child's limit
	for len(events.beats) > 0 {
		<-events.beats
	}
	c.signal(syscall.SIGCONT)
	for range 10 {
		await(t, events.beats, "a heartbeat after the freeze")
	}
	if len(events.ended) > 0 {
		t.Errorf("the connection ended: %v", <-events.ended)
	}
}

func TestConn_ProcessEndsCleanly_Leaves(t *testing.T) {
	c, _, events := connectToChild(t, testTimeout)
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	events.wantEnding(t, Left)
}
