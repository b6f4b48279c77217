// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Evidence is the result of a Dial, as evidence about the other process.
type Evidence string

// Results of Dial.
const (
	// Connected means that a member has answered. Its identity shows whether it is the expected
	// process.
	Connected Evidence = "connected"
	// Refused means that the host is up and no process listens at the address.
	Refused Evidence = "refused"
	// NoAnswer means that no member has answered in time, that the address cannot be reached, or that
	// the connection ended before the answer. It proves nothing.
	NoAnswer Evidence = "no answer"
	// Untrusted means that a process listens at the address and one end does not trust the key of the
	// other, or that the process is no member of the group. If this end does not trust the other, the
	// error is an *[UntrustedError].
	Untrusted Evidence = "untrusted"
)

const (
	// maxBroken is the number of attempts whose connections end before the answer. A process that is
	// being killed may still accept a connection: its sockets are closed one after the other.
	maxBroken = 4
	// brokenPause is the pause before the next of these attempts. It doubles each time.
	brokenPause = 500 * time.Microsecond
)

var (
	// errSelf is the error of a process that has dialled its own address.
	errSelf = errors.New("the address is this process's own")
	// errBroken is the error of a connection that ended before the answer.
	errBroken = errors.New("the connection ended before the member answered")
)

// Dial connects to the member at the address, and returns the evidence about it, at the latest after
// [handshakeTimeout]. The connection is not nil if the evidence is Connected; the Handler has received it
// before Dial returns. Otherwise err says why there is none. The address is no name, because a name may
// resolve to another host, whose refusal would prove nothing about the member.
func (e *Endpoint) Dial(ctx context.Context, address netip.AddrPort) (*Conn, Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)() //nolint:contextcheck // the end of the endpoint ends ctx, too
	for attempt := 0; ; attempt++ {
		c, evidence, err := e.dialOnce(ctx, address)
		if !errors.Is(err, errBroken) || attempt == maxBroken-1 {
			return c, evidence, err
		}
		select {
		case <-time.After(brokenPause << attempt):
		case <-ctx.Done():
			return nil, NoAnswer, err
		}
	}
}

func (e *Endpoint) dialOnce(ctx context.Context, address netip.AddrPort) (c *Conn, evidence Evidence, err error) {
	raw, err := dialTCP(ctx, address)
	switch {
	case err == nil:
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, Refused, err
	case errors.Is(err, syscall.ECONNRESET): // the listener was closed during the handshake of TCP
		return nil, NoAnswer, fmt.Errorf("%w: %w", errBroken, err)
	default:
		return nil, NoAnswer, err
	}
	conn := tls.Client(raw, e.client)
	in, hello, err := e.handshake(ctx, conn)
	if err == nil {
		if c = e.newConn(conn, in, hello, true); e.start(c) {
			<-c.reported
			return c, Connected, nil
		}
		err = errBroken
	}
	_ = raw.Close() // the handshake has failed
	err = fmt.Errorf("connecting to the member at %s: %w", address, err)
	if errors.Is(err, errBroken) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, NoAnswer, err
	}
	return nil, Untrusted, err
}

// handshake authenticates both ends and exchanges the Hellos.
func (e *Endpoint) handshake(ctx context.Context, conn *tls.Conn) (in *bufio.Reader, peer *Hello, err error) {
	defer context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, classify(ctx, err)
	}
	hello, err := appendMessage(nil, e.hello())
	if err != nil {
		return nil, nil, err
	}
	_, _ = conn.Write(hello) // if the other end has refused, the read returns its alert
	in = newFrameReader(conn)
	m, err := readMessage(in)
	if err != nil {
		return nil, nil, classify(ctx, err)
	}
	peer, ok := m.(*Hello)
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("%w: its first message is no Hello", errProtocol)
	case peer.Group != e.cfg.Group:
		return nil, nil, fmt.Errorf("%w: its group is %q", errProtocol, peer.Group)
	case peer.Identity == e.cfg.Identity:
		return nil, nil, errSelf
	}
	return in, peer, nil
}

// classify marks the errors of a handshake that prove nothing: the time is over, or the connection
// has ended. The remaining errors are about the other end's key or protocol.
func classify(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil: // the socket is closed because of it
		return fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, ctx.Err())
	case closedByNetwork(err):
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return err
}
