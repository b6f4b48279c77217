// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// split is a way to split a response into pieces. Each piece is sent by one write.
type split struct {
	name string
	cut  func(answer string) []string
}

var splits = []split{
	{"in one segment", func(a string) []string { return []string{a} }},
	{"byte by byte", func(a string) []string { return strings.Split(a, "") }},
}

// respond returns a server that reads a request, sends a response in pieces, and echoes the data that
// follows.
func respond(cut func(string) []string, answer func(*http.Request) string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		for _, piece := range cut(answer(request)) {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
		}
		_, _ = io.Copy(c, r)
	}
}

// wantPrefix checks that the first bytes read from the connection are want.
func wantPrefix(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v, want %q", got, err, want)
	}
}

// firstBytes is the data that the server sends at once. It belongs to the tunnel.
const firstBytes = "\x20\x02\x00\x00 the server's first bytes"

func TestConnect_SuccessfulAnswerOfEveryForm_TunnelBeginsAfterTheHead(t *testing.T) {
	long := strings.Repeat("X-Long: "+strings.Repeat("v", 4000)+"\r\n", 15)
	for name, answer := range map[string]string{
		"Content-Length":                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"Content-Length beyond the data": "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
		"Content-Length 0":               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"Content-Length malformed":       "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
		"two lengths":                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"chunked":                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"both":                           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"gzip":                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"close":                          "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		"201":                            "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n",
		"204":                            "HTTP/1.1 204 No Content\r\n\r\n",
		"299":                            "HTTP/1.1 299 Fine\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0":                       "HTTP/1.0 200 Connection established\r\n\r\n",
		"HTTP/1.0 with a length":         "HTTP/1.0 200 Connection established\r\nContent-Length: 5\r\n\r\n",
		"no reason phrase":               "HTTP/1.1 200\r\n\r\n",
		"empty reason phrase":            "HTTP/1.1 200 \r\n\r\n",
		"lower case":                     "http/1.1 200 ok\r\ncontent-length: 5\r\n\r\n",
		"LF only":                        "HTTP/1.1 200 OK\nVia: 1.1 p\n\n",
		"LF only, no header":             "HTTP/1.1 200\n\n",
		"100 before":                     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"102 and 103 before":             "HTTP/1.1 102 Processing\r\nContent-Length: 9\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"long head":                      "HTTP/1.1 200 OK\r\n" + long + "\r\n",
		"malformed header fields":        "HTTP/1.1 200 OK\r\nno colon here\r\n folded\r\nX : y\r\n: z\r\n\x01: \x02\r\n\r\n",
		"two blanks":                     "HTTP/1.1  200  OK\r\n\r\n",
	} {
		for _, p := range splits {
			t.Run(name+" "+p.name, func(t *testing.T) {
				proxy := listen(t, "127.0.0.1:0", respond(p.cut, func(*http.Request) string { return answer + firstBytes }))
				c := dial(t, Config{HostPort: "server.example:1883", Proxy: &url.URL{Scheme: "http", Host: proxy}})
				wantPrefix(t, c, firstBytes)
				wantEcho(t, c)
			})
		}
	}
}

func TestConnect_RefusalWithABody_IsReportedAtOnce(t *testing.T) {
	const login = "the proxy PROXY requires a login; set proxy.credentials.username and proxy.credentials.password"
	const forbidden = "the proxy PROXY forbids the connection (HTTP 403 Forbidden); allow CONNECT to server.example:1883 in the proxy's rules"
	const basicOnly = "the proxy PROXY requires a login by %s, and the bridge supports only Basic; allow Basic for this client, or allow the connection without a login"
	for name, c := range map[string]struct{ answer, text string }{
		"407, body to come":       {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\nConnection: keep-alive\r\nContent-Length: 100000\r\n\r\n<html>", login},
		"407 chunked":             {"HTTP/1.1 407 x\r\nProxy-Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>", login},
		"407 with Digest":         {"HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"p\", nonce=\"1\"\r\n\r\n", fmt.Sprintf(basicOnly, "Digest")},
		"407 with NTLM":           {"HTTP/1.1 407 x\r\nproxy-authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n", fmt.Sprintf(basicOnly, "Negotiate")},
		"407, Digest names Basic": {"HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"ours, Basic realm\", nonce=\"1\"\r\n\r\n", fmt.Sprintf(basicOnly, "Digest")},
		"407 with Basic, too":     {"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: basic realm=\"p\"\r\n\r\n", login},
		"403, body to come":       {"HTTP/1.1 403 No\r\nContent-Length: 100000\r\n\r\n<html>", forbidden},
		"403 of HTTP/1.0":         {"HTTP/1.0 403 No\r\n\r\n<html>", forbidden},
		"403 with LF only":        {"HTTP/1.1 403\n\n<html>", forbidden},
		"403 after an interim":    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\n\r\n", forbidden},
		"101":                     {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "the proxy PROXY refuses the connection (HTTP 101 Switching Protocols); check that proxy.url names a proxy that allows CONNECT"},
		"302":                     {"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 9\r\n\r\n", "the proxy PROXY refuses the connection (HTTP 302 Found); check that proxy.url names a proxy that allows CONNECT"},
		"head without end":        {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxHead), "the response of the proxy PROXY is not valid: its header is longer than 65536 bytes; see the proxy's log"},
		"interims without end":    {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxHead/20), "the response of the proxy PROXY is not valid: its header is longer than 65536 bytes; see the proxy's log"},
		"no status code":          {"HTTP/1.1 OK\r\n\r\n", "the proxy PROXY does not speak HTTP; check the scheme and port of proxy.url"},
		"another protocol":        {"\x05\xff", "the proxy PROXY does not speak HTTP; check the scheme and port of proxy.url"},
		"TLS":                     {"\x15\x03\x01\x00\x02\x02\x46", "the proxy PROXY expects TLS on this port, which the bridge does not support; set proxy.url to a port of the proxy without TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := listen(t, "127.0.0.1:0", respond(splits[0].cut, func(*http.Request) string { return c.answer }))
			wantDialError(t, testTimeout, Config{HostPort: "server.example:1883", Proxy: &url.URL{Scheme: "http", Host: proxy}},
				v1alpha1.ReasonProxyFailed, strings.ReplaceAll(c.text, "PROXY", proxy))
		})
	}
}

func TestSOCKS5_RepliesInPieces_TunnelBeginsAfterThem(t *testing.T) {
	for name, bound := range map[string]string{
		"IPv4": "\x01\x7f\x00\x00\x01\x00\x50",
		"IPv6": "\x04" + strings.Repeat("\x00", 16) + "\x00\x50",
		"name": "\x03\x05proxy\x00\x50",
		"none": "\x01\x00\x00\x00\x00\x00\x00",
	} {
		for _, p := range splits {
			t.Run(name+" "+p.name, func(t *testing.T) {
				proxy := listen(t, "127.0.0.1:0", func(c net.Conn) {
					send := func(text string) {
						for _, piece := range p.cut(text) {
							_, _ = io.WriteString(c, piece)
						}
					}
					_, _ = io.ReadFull(c, make([]byte, len("\x05\x02\x00\x02")))
					send("\x05\x02")
					_, _ = io.ReadFull(c, make([]byte, len("\x01\x04user\x04pass")))
					send("\x01\x00")
					_, _ = io.ReadFull(c, make([]byte, len("\x05\x01\x00\x03\x0eserver.example\x07\x5b")))
					send("\x05\x00\x00" + bound + firstBytes)
					echo(c)
				})
				c := dial(t, Config{HostPort: "server.example:1883", Proxy: &url.URL{Scheme: "socks5", Host: proxy, User: url.UserPassword("user", "pass")}})
				wantPrefix(t, c, firstBytes)
				wantEcho(t, c)
			})
		}
	}
}

// acceptKey returns the value of Sec-WebSocket-Accept (RFC 6455 section 4.2.2).
func acceptKey(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestUpgrade_SuccessfulAnswerOfEveryForm_FramesBeginAfterTheHead(t *testing.T) {
	const fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: mqtt\r\n"
	for name, answer := range map[string]string{
		"as usual":             "HTTP/1.1 101 Switching Protocols\r\n" + fields + "\r\n",
		"Content-Length":       "HTTP/1.1 101 Switching Protocols\r\n" + fields + "Content-Length: 5\r\n\r\n",
		"malformed length":     "HTTP/1.1 101 Switching Protocols\r\n" + fields + "Content-Length: many\r\n\r\n",
		"chunked":              "HTTP/1.1 101 Switching Protocols\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n",
		"no reason phrase":     "HTTP/1.1 101\r\n" + fields + "\r\n",
		"lower case":           strings.ToLower("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n") + "sec-websocket-accept: KEY\r\n\r\n",
		"LF only":              strings.ReplaceAll("HTTP/1.1 101 Switching Protocols\r\n"+fields+"\r\n", "\r", ""),
		"100 before":           "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n" + fields + "\r\n",
		"103 before":           "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nContent-Length: 3\r\n\r\nHTTP/1.1 101 x\r\n" + fields + "\r\n",
		"malformed fields":     "HTTP/1.1 101 x\r\nno colon\r\n" + fields + "\x01: \x02\r\nServer : x\r\n\r\n",
		"long head":            "HTTP/1.1 101 x\r\n" + fields + strings.Repeat("X: "+strings.Repeat("v", 4000)+"\r\n", 15) + "\r\n",
		"a folded header line": "HTTP/1.1 101 x\r\n" + strings.Replace(fields, "Upgrade: websocket", "Upgrade:\r\n websocket", 1) + "\r\n",
	} {
		for _, p := range splits {
			t.Run(name+" "+p.name, func(t *testing.T) {
				frame := "\x82" + string(rune(len(firstBytes))) + firstBytes // a binary frame
				hostPort := listen(t, "127.0.0.1:0", func(c net.Conn) {
					respond(p.cut, func(r *http.Request) string { return strings.ReplaceAll(answer, "KEY", acceptKey(r)) + frame })(c)
				})
				wantPrefix(t, dial(t, Config{HostPort: hostPort, WebSocket: true, Path: "/mqtt"}), firstBytes)
			})
		}
	}
}

func TestUpgrade_RefusalWithABody_IsReportedAtOnce(t *testing.T) {
	const refuses = "the server refuses the WebSocket connection "
	const login = "the server may require a login before MQTT; set a client certificate in tls.certificate, or a token in webSocket.headers or webSocket.queryFrom"
	const web = "it responds like a web server; check the URL's path, and that the proxy in front of it forwards the Upgrade header"
	const noUpgrade = "the server's response to the WebSocket upgrade is not valid: its WebSocket header fields are missing or wrong; check the URL's path, and the proxy in front of the server"
	for name, c := range map[string]struct{ answer, text string }{
		"401, body to come":  {"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 100000\r\n\r\n{", refuses + "(HTTP 401 Unauthorized); " + login},
		"403 chunked":        {"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<html", refuses + "(HTTP 403 Forbidden); " + login},
		"403 of HTTP/1.0":    {"HTTP/1.0 403 Forbidden\r\n\r\n<html>", refuses + "(HTTP 403 Forbidden); " + login},
		"403 after 103":      {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n", refuses + "(HTTP 403 Forbidden); " + login},
		"200 without end":    {"HTTP/1.1 200 OK\r\n\r\n<html>", refuses + "(HTTP 200 OK); " + web},
		"426":                {"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 100\r\n\r\n", refuses + "(HTTP 426 Upgrade Required); " + web},
		"400 to a TLS port":  {"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", refuses + "(HTTP 400 Bad Request); check the URL's scheme, port and path; if this is a TLS port, use wss:// in the URL"},
		"101 without fields": {"HTTP/1.1 101 Switching Protocols\r\n\r\n", noUpgrade},
		"101 of another key": {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bm90IHRoYXQga2V5\r\n\r\n", noUpgrade},
		"TLS":                {"\x15\x03\x01\x00\x02\x02\x46", "the server uses TLS on this port; use wss:// in the URL, or the port of the server's listener without TLS"},
		"MQTT":               {"\x20\x02\x00\x01", "the server does not speak HTTP on this port; check the URL's scheme and port"},
	} {
		t.Run(name, func(t *testing.T) {
			hostPort := listen(t, "127.0.0.1:0", respond(splits[0].cut, func(*http.Request) string { return c.answer }))
			wantDialError(t, testTimeout, Config{HostPort: hostPort, WebSocket: true, Path: "/mqtt"}, v1alpha1.ReasonWebSocketRefused, c.text)
		})
	}
}

// A server could otherwise send a thousand times as many bytes as it transmits.
func TestUpgrade_CompressionThatWasNotOffered_IsRefused(t *testing.T) {
	const fields = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: %s\r\n\r\n"
	for extensions, refused := range map[string]bool{
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": true,
		"permessage-deflate": true,
		"x-other":            true,
		"":                   false,
	} {
		t.Run(extensions, func(t *testing.T) {
			hostPort := listen(t, "127.0.0.1:0", respond(splits[0].cut, func(r *http.Request) string { return fmt.Sprintf(fields, acceptKey(r), extensions) }))
			cfg := Config{HostPort: hostPort, WebSocket: true, Path: "/mqtt"}
			if !refused {
				dial(t, cfg)
				return
			}
			wantDialError(t, testTimeout, cfg, v1alpha1.ReasonWebSocketRefused,
				"the server's response to the WebSocket upgrade is not valid: its WebSocket header fields are missing or wrong; check the URL's path, and the proxy in front of the server")
		})
	}
}

func TestUpgrade_Redirect_NamesTheURLToWrite(t *testing.T) {
	const moved = "the server refuses the WebSocket connection (HTTP 307 Temporary Redirect); it redirects%s, and the bridge does not follow redirects; set the URL to the target of the redirect"
	for location, want := range map[string]string{
		"https://other.example/mqtt":                           ` to "wss://other.example/mqtt"`,
		"http://other.example:8080/a/":                         ` to "ws://other.example:8080/a/"`,
		"wss://other.example/mqtt":                             ` to "wss://other.example/mqtt"`,
		"//other.example/mqtt":                                 ` to "ws://other.example/mqtt"`,
		"/mqtt/":                                               ` to "ws://HOST/mqtt/"`,
		"https://me:pw@other.example/mqtt?token=" + token:      ` to "wss://other.example/mqtt"`,
		"https://other.example/login?next=%2Fmqtt%3Ftoken%3D1": ` to "wss://other.example/login"`,
		"https://other.example/t/" + token + "/x":              ` to "wss://other.example/t/.../x"`,
		"https://other.example/#" + token:                      ` to "wss://other.example/"`,
		"https://" + token + ".example/":                       ` to "wss://....example/"`,
		"https://other.example/" + strings.Repeat("r", 25):     ` to "wss://other.example/..."`,
		"https://other.example/" + strings.Repeat("r/", 100):   "",
		"mailto:me@other.example":                              "",
		"%zz":                                                  "",
		"":                                                     "",
	} {
		t.Run(location, func(t *testing.T) {
			hostPort := listen(t, "127.0.0.1:0", respond(splits[0].cut, func(*http.Request) string {
				return "HTTP/1.1 307 x\r\nLocation: " + location + "\r\nContent-Length: 1000\r\n\r\n"
			}))
			wantDialError(t, testTimeout, Config{HostPort: hostPort, WebSocket: true, Path: "/mqtt?token=" + token}, v1alpha1.ReasonWebSocketRefused,
				fmt.Sprintf(moved, strings.ReplaceAll(want, "HOST", hostPort)))
		})
	}
}

// token is a secret.
const token = "s3cr3t-t0k3n"
