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

// attemptDelay is how long an address is waited for before the next one is tried
// besides (RFC 8305 section 5). net.Dialer would wait for its share of the time that
// is left, but 2 seconds at least: of three addresses that drop packets the third is
// hardly tried within 5 seconds, and a fourth not at all.
const attemptDelay = 250 * time.Millisecond

// keepAlive finds a peer that is gone within 30 seconds while nothing is sent. MQTT's
// own keep alive mostly is faster.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialTCP resolves the name and connects to the first of its addresses that answers.
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
	addrs := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range interleave(ips) {
		addrs = append(addrs, netip.AddrPortFrom(ip, uint16(port)))
	}
	conn, err := race(ctx, addrs)
	if err != nil {
		return nil, err
	}
	if userTimeout > 0 {
		setUserTimeout(conn, userTimeout)
	}
	return conn, nil
}

// lookup returns the addresses of a host. The resolver would drop the zone of an
// address.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address}, nil
	}
	if strings.EqualFold(host, "localhost.") { // RFC 6761 section 6.3; the resolver finds it without the dot only
		host = "localhost"
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// interleave alternates between the address families, beginning with the first
// address's, and keeps the order within each (RFC 8305 section 4).
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

// attempt is what became of the address at a place.
type attempt struct {
	place int
	conn  *net.TCPConn
	err   error
}

// race tries the addresses in order, the next one when an attempt has failed or has
// taken long, and returns the connection that is made first. The last address has at
// least half of the time. The error is that of the first address.
func race(ctx context.Context, addrs []netip.AddrPort) (*net.TCPConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the losers
	delay := attemptDelay
	if deadline, ok := ctx.Deadline(); ok {
		delay = min(delay, time.Until(deadline)/time.Duration(2*len(addrs)))
	}
	results := make(chan attempt)
	errs := make([]error, len(addrs))
	started, running := 0, 0
	start := func() {
		place := started
		started++
		running++
		go func() {
			conn, err := dialAddress(ctx, addrs[place])
			results <- attempt{place, conn, err}
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
				go discard(results, running)
				return r.conn, nil
			}
			errs[r.place] = r.err
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

// discard closes connections that come too late.
func discard(results <-chan attempt, running int) {
	for range running {
		if r := <-results; r.err == nil {
			_ = r.conn.Close() // it was never used
		}
	}
}

func dialAddress(ctx context.Context, addr netip.AddrPort) (*net.TCPConn, error) {
	dialer := net.Dialer{KeepAliveConfig: keepAlive} // TCP_NODELAY is Go's default
	return dialer.DialTCP(ctx, "tcp", netip.AddrPort{}, addr)
}
