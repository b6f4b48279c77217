// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package draft

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// URL returns the URL of a server.
func URL(scheme, host, port string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s://%s:%s", scheme, host, port)
}

// SetLocal sets the server of the local side, the broker whose configuration is read. port is its
// port for clients: empty if the configuration names none. line is the line of the port.
func (b *Bridge) SetLocal(scheme, port string, line int) {
	local := &b.Spec().Local
	switch {
	case b.opts.Local != "":
		local.Primary.URL = b.opts.Local
		b.noteOwnAddress(Address{URL: b.opts.Local, Key: "--local"}, "spec.local.primary.url")
		return
	case port == "":
		scheme, port = "mqtt", "1883"
	}
	local.Primary.URL = URL(scheme, "localhost", port)
	b.Note(line, "spec.local.primary.url", "it is %s, because the configuration does not contain the address of its own broker; set it to the address at which the bridge reaches this broker, or use --local", local.Primary.URL)
}

// PortOf returns the port of an address such as 0.0.0.0:1883, :1883 or 1883.
func PortOf(address string) string {
	if _, after, ok := strings.Cut(address, "://"); ok {
		address = after
	}
	address, _, _ = strings.Cut(address, "/")
	if _, port, err := net.SplitHostPort(address); err == nil {
		address = port
	}
	if strings.Trim(address, "0123456789") == "" {
		return address
	}
	return ""
}

// Address is the URL of a server, with its key and line in the configuration.
type Address struct {
	URL, Key string
	Line     int
}

// SetServers sets the servers of the remote side. A server that is listed twice is listed once.
func (b *Bridge) SetServers(addresses []Address) {
	remote := &b.Spec().Remote
	seen := map[string]bool{}
	for _, a := range addresses {
		if seen[a.URL] {
			b.Note(a.Line, a.Key, "%s is listed twice; the manifest has it once", v1alpha1.PublicURL(a.URL))
			continue
		}
		seen[a.URL] = true
		field := "spec.remote.primary.url"
		if remote.Primary.URL == "" {
			remote.Primary.URL = a.URL
		} else {
			field = fmt.Sprintf("spec.remote.backups[%d].url", len(remote.Backups))
			remote.Backups = append(remote.Backups, v1alpha1.Server{URL: a.URL})
		}
		b.noteOwnAddress(a, field)
	}
}

// noteOwnAddress adds a note if an address leads back to the process that uses it: it was the machine of
// the other broker, and becomes the pod. Without Kubernetes, it may be right. field is the field with the
// address.
func (b *Bridge) noteOwnAddress(a Address, field string) {
	if host := hostOf(a.URL); isOwnHost(host) {
		b.Note(a.Line, a.Key, "%s is the pod of the bridge itself if the bridge runs in a cluster; set %s to the name of the Service or host of this server", host, field)
	}
}

// hostOf returns the host in the URL of a server, or an empty string if the URL is invalid.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}

// isOwnHost reports whether a host stands for the machine that connects to it: a name below localhost
// (RFC 6761 section 6.3), a loopback address, or the unspecified address.
func isOwnHost(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	ip = ip.Unmap()
	return err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// Login is a user name and a password, with their keys and lines.
type Login struct {
	Username, Password         string
	UsernameKey, PasswordKey   string
	UsernameLine, PasswordLine int

	// hasPassword is whether the configuration has a password, also if the file does not contain its value.
	hasPassword bool
}

// Login reads a user name and a password.
func (r *Reader) Login(username, password string) Login {
	l := Login{UsernameKey: r.Key(username), PasswordKey: r.Key(password), UsernameLine: r.Line(username), PasswordLine: r.Line(password)}
	l.Username, _ = r.Text(username)
	l.Password, _ = r.Text(password)
	f := r.v.Get(password)
	l.hasPassword = f != nil && f.Value.Text != ""
	return l
}

// SetLogin sets the credentials of a side. name is the name of the side.
func (b *Bridge) SetLogin(side *v1alpha1.Side, name string, l Login) {
	if l.Username == "" && l.Password == "" {
		return
	}
	c := &v1alpha1.Credentials{}
	secret := b.Manifest.Name + "-" + name
	switch {
	case l.Username == "" && ptr.Deref(side.ProtocolVersion, "") != v1alpha1.ProtocolVersion5:
		b.LeftOut(l.PasswordLine, l.PasswordKey, "MQTT 3.1.1 does not permit a password without a user name; add a user name, or use MQTT 5")
		return
	case l.Username == "":
	case !l.hasPassword || len(l.Username) > 1024 || strings.ContainsFunc(l.Username, unicode.IsControl):
		// A user name without a password may be a token.
		b.secret(secret)[v1alpha1.DefaultUsernameKey] = l.Username
		c.Username = &v1alpha1.UsernameSource{SecretKeyRef: &v1alpha1.KeyReference{Name: secret}}
	default:
		c.Username = &v1alpha1.UsernameSource{Value: l.Username}
	}
	if l.Password != "" {
		b.secret(secret)[v1alpha1.DefaultPasswordKey] = l.Password
		c.Password = &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: secret}}
	}
	side.Credentials = c
}

// SetQuery sets the query of the URLs of a side, which may contain a token. name is the name of the side.
func (b *Bridge) SetQuery(side *v1alpha1.Side, name, query string) {
	if query == "" {
		return
	}
	const key = "query"
	secret := b.Manifest.Name + "-" + name
	b.secret(secret)[key] = query
	side.WebSocket = &v1alpha1.WebSocket{QueryFrom: &v1alpha1.SecretSource{SecretKeyRef: v1alpha1.KeyReference{Name: secret, Key: key}}}
}

// secret returns the values of a Secret.
func (b *Bridge) secret(name string) map[string]string {
	if b.Secrets[name] == nil {
		b.Secrets[name] = map[string]string{}
	}
	return b.Secrets[name]
}

// File is a file that the configuration names.
type File struct {
	Path string
	Key  string
	Line int
}

// File reads the path of a file.
func (r *Reader) File(key string) File {
	path, _ := r.Text(key)
	return File{Path: path, Key: r.Key(key), Line: r.Line(key)}
}

// SetTLS sets the TLS settings of a side. The files are the certificates of the authorities, the
// client certificate and its key; each may be empty. Their contents are put into a Secret, or a
// note tells how to create it.
func (b *Bridge) SetTLS(side *v1alpha1.Side, name string, ca, certificate, key File) {
	if (certificate.Path == "") != (key.Path == "") {
		set := certificate
		if set.Path == "" {
			set = key
		}
		b.LeftOut(set.Line, set.Key, "a client certificate and its key belong together, and the configuration has only one of them")
		certificate, key = File{}, File{}
	}
	if ca.Path == "" && certificate.Path == "" {
		return
	}
	if side.TLS == nil {
		side.TLS = &v1alpha1.TLS{}
	}
	secret := b.Manifest.Name + "-" + name + "-tls"
	ref := func() *v1alpha1.KeyReference { return &v1alpha1.KeyReference{Name: secret} }
	if ca.Path != "" {
		side.TLS.CA = &v1alpha1.CASource{SecretKeyRef: ref()}
	}
	if certificate.Path != "" {
		side.TLS.Certificate = &v1alpha1.CertificateSource{SecretKeyRef: ref()}
		side.TLS.Key = &v1alpha1.SecretSource{SecretKeyRef: *ref()}
	}
	b.fillSecret(secret, map[string]File{v1alpha1.DefaultCAKey: ca, v1alpha1.DefaultCertificateKey: certificate, v1alpha1.DefaultPrivateKeyKey: key})
}

// fillSecret puts the contents of files into a Secret. If one cannot be read, it adds a note with
// the command that creates the Secret.
func (b *Bridge) fillSecret(secret string, files map[string]File) {
	var options []string
	var first File
	complete := true
	for _, key := range slices.Sorted(maps.Keys(files)) {
		f := files[key]
		if f.Path == "" {
			continue
		}
		if first.Path == "" {
			first = f
		}
		options = append(options, shellWord(fmt.Sprintf("--from-file=%s=%s", key, f.Path)))
		complete = b.readFile(f, secret, key) && complete
	}
	if !complete {
		delete(b.Secrets, secret)
		namespace := ""
		if b.opts.Namespace != "" {
			namespace = " --namespace=" + b.opts.Namespace
		}
		b.Note(first.Line, first.Key, "create the Secret on the machine that has the files: kubectl create secret generic %s%s %s; or import on that machine with --files /", secret, namespace, strings.Join(options, " "))
	}
}

// safeWord matches the words that a shell does not change.
var safeWord = regexp.MustCompile(`^[-A-Za-z0-9_./=:@%+]+$`)

// shellWord quotes a word for a shell.
func shellWord(word string) string {
	if safeWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// readFile puts the contents of a file into a Secret, and reports whether it could.
func (b *Bridge) readFile(f File, secret, key string) bool {
	if b.opts.ReadFile == nil {
		return false
	}
	data, err := b.opts.ReadFile(f.Path)
	if err == nil && !utf8.Valid(data) {
		err = errors.New("it is no text; convert it to PEM, for example with openssl x509 -inform der")
	}
	if err != nil {
		b.Note(f.Line, f.Key, "the file cannot be read: %v", err)
		return false
	}
	b.secret(secret)[key] = string(data)
	return true
}

// PacketSize reads the size of the largest packet of a side in bytes. program is the program in which 0 is
// no limit.
func (r *Reader) PacketSize(side *v1alpha1.Side, key, program string) {
	size, ok := r.Int(key, 0, 4294967295)
	switch {
	case !ok:
	case size == 0:
		r.Changed(key, "0 is no limit in %s; the bridge has always a limit, maximumPacketSize, 32Mi by default", program)
	case size < 1024 || size > 268435460:
		r.LeftOut(key, "maximumPacketSize must be from 1024 to 268435460 bytes; the bridge uses its default")
	default:
		side.MaximumPacketSize = resource.NewQuantity(size, resource.BinarySI)
	}
}

// SetExpiry sets the session expiry of a side in seconds. 4294967295 is no limit.
func SetExpiry(side *v1alpha1.Side, seconds int64) {
	switch seconds {
	case 0:
		side.CleanSession = ptr.To(true)
	case 4294967295:
		side.SessionExpiry = v1alpha1.SessionExpiryNever
	default:
		side.SessionExpiry = v1alpha1.SessionExpiry(fmt.Sprintf("%ds", seconds))
	}
}

// Failover returns the failover settings of a side.
func Failover(side *v1alpha1.Side) *v1alpha1.Failover {
	if side.Failover == nil {
		side.Failover = &v1alpha1.Failover{}
	}
	return side.Failover
}
