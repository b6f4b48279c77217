// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// attemptDelay is the time after which the next address is tried, in parallel, if an address does
// not answer (RFC 8305 section 5). net.Dialer would give each address an equal share of the
// remaining time, but at least 2 seconds: with addresses that drop packets, it hardly tries the
// third one within 5 seconds, and never a fourth.
const attemptDelay = 250 * time.Millisecond

// maxAttempts is the largest number of addresses of a name that are tried. A DNS server may answer with thousands of
// addresses: each attempt would open as many sockets.
const maxAttempts = 64

// keepAlive detects a lost peer within 30 seconds while no data is sent. MQTT's own keep alive is
// usually faster.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialTCP resolves the name and connects to the first address that answers.
func dialTCP(ctx context.Context, hostPort string, userTimeout time.Duration) (*net.TCPConn, error) {
	host, portText, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	ips, err := lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	conn, err := race(ctx, candidates(ips, uint16(port)))
	if err != nil {
		return nil, err
	}
	if userTimeout > 0 {
		setUserTimeout(conn, userTimeout)
	}
	return conn, nil
}

// lookup returns the addresses of a host. It parses IP addresses itself, because the resolver
// would drop the zone.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address}, nil
	}
	if strings.EqualFold(host, "localhost.") { // RFC 6761 section 6.3; the resolver finds it only without the dot
		host = "localhost"
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// candidates returns the addresses to try, in order.
func candidates(ips []netip.Addr, port uint16) []netip.AddrPort {
	ips = interleave(ips)
	ips = ips[:min(len(ips), maxAttempts)]
	addrs := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip, port))
	}
	return addrs
}

// interleave alternates between the address families. It begins with the first address's family,
// and keeps the order within each family (RFC 8305 section 4).
func interleave(ips []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for i, ip := range ips {
		ips[i] = ip.Unmap()
		family := 0
		if ips[i].Is4() != ips[0].Is4() {
			family = 1
		}
		families[family] = append(families[family], ips[i])
	}
	out := make([]netip.Addr, 0, len(ips))
	for i := range ips {
		for _, family := range families {
			if i < len(family) {
				out = append(out, family[i])
			}
		}
	}
	return out
}

// dialResult is the result of connecting to the address with an index.
type dialResult struct {
	index int
	conn  *net.TCPConn
	err   error
}

// race connects to the addresses in order, and returns the first connection that succeeds. It
// starts the next address when one fails, or after a delay. The last address has at least half of
// the time. If all addresses fail, race returns the first address's error.
func race(ctx context.Context, addrs []netip.AddrPort) (*net.TCPConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the other attempts
	delay := attemptDelay
	if deadline, ok := ctx.Deadline(); ok {
		delay = min(delay, time.Until(deadline)/time.Duration(2*len(addrs)))
	}
	results := make(chan dialResult)
	errs := make([]error, len(addrs))
	started, running := 0, 0
	start := func() {
		index := started
		started++
		running++
		go func() {
			conn, err := dialAddress(ctx, addrs[index])
			results <- dialResult{index, conn, err}
		}()
	}
	start()
	next := time.NewTicker(max(delay, time.Millisecond))
	defer next.Stop()
	for running > 0 {
		var tryNext bool
		select {
		case r := <-results:
			running--
			if r.err == nil {
				go closeLate(results, running)
				return r.conn, nil
			}
			errs[r.index] = r.err
			next.Reset(max(delay, time.Millisecond))
			tryNext = true
		case <-next.C:
			tryNext = true
		}
		if tryNext && started < len(addrs) && ctx.Err() == nil {
			start()
		}
	}
	return nil, errs[0]
}

// closeLate closes the connections that succeed after the first one.
func closeLate(results <-chan dialResult, running int) {
	for range running {
		if r := <-results; r.err == nil {
			_ = r.conn.Close() // it is not used
		}
	}
}

// dialAddress connects to an address. It does not use net.Dialer.DialTCP, which binds a local port before it
// connects, also if no local address is given: that port is of no use to a connection to another address.
func dialAddress(ctx context.Context, addr netip.AddrPort) (*net.TCPConn, error) {
	dialer := net.Dialer{KeepAliveConfig: keepAlive} // TCP_NODELAY is Go's default
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil // the type of all connections of "tcp"
}
