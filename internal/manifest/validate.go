// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifest is the part of a bridge's manifest that the operator and the runner need:
// validation, the rules and their loops, the addresses of servers, and the references to
// Secrets and ConfigMaps.
//
// It promises that [Validate] refuses each manifest that the API server would refuse, and that
// each error names the field, the value and the remedy.
//
// Its functions are pure. It opens no connection and reads no file, so that a program that
// imports it links no transport. Package config of the runner loads manifests and Secrets.
package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Limits of lists and strings, as in the schema. The lengths of filters and client identifiers
// are in characters, the others in bytes.
const (
	maxBackups   = 15
	MaxRules     = 64
	maxExcludes  = 32
	maxURL       = 300
	maxFilter    = 512
	maxClientID  = 256
	maxName      = 52
	maxReference = 253
	maxClass     = 63

	probePort   = 8080 // the port of a pod's health probes
	maxALPN     = 8
	maxProtocol = 255
)

// Validate returns the errors in a manifest, and nil if the manifest is valid. It refuses all
// manifests that the CRD's schema and CEL rules refuse, with the same messages. It also
// refuses errors that the schema cannot detect: rules that form a loop,
// a server that both sides list under different URLs, and dead letters that a rule forwards.
// The defaults of the manifest may be resolved or not.
func Validate(b *v1alpha1.MQTTBridge) field.ErrorList {
	var errs field.ErrorList
	if b.APIVersion != v1alpha1.GroupVersion.String() {
		errs = append(errs, field.NotSupported(field.NewPath("apiVersion"), b.APIVersion, []string{v1alpha1.GroupVersion.String()}))
	}
	if b.Kind != "MQTTBridge" {
		errs = append(errs, field.NotSupported(field.NewPath("kind"), b.Kind, []string{"MQTTBridge"}))
	}
	errs = append(errs, validateMetadata(b, field.NewPath("metadata"))...)
	errs = append(errs, validateSpec(&b.Spec, field.NewPath("spec"))...)
	errs = append(errs, validateOwnClaim(b)...)
	if len(errs) == 0 {
		errs = append(errs, validateSameServer(b, field.NewPath("spec"))...)
	}
	return append(errs, validateClientIDs(&b.WithDefaults().Spec, b.Namespace, field.NewPath("spec"))...)
}

// validateMetadata refuses names that the API server refuses for every object, with its messages.
func validateMetadata(b *v1alpha1.MQTTBridge, path *field.Path) (errs field.ErrorList) {
	name, namespace := path.Child("name"), path.Child("namespace")
	switch {
	case b.Name == "":
		errs = append(errs, field.Required(name, "a bridge needs a name; set metadata.name"))
	case len(b.Name) > maxName:
		errs = append(errs, field.Invalid(name, b.Name, "name must be at most 52 characters, because the names of the bridge's Deployment and pods are made from it; choose a shorter name"))
	default:
		for _, problem := range validation.IsDNS1123Subdomain(b.Name) {
			errs = append(errs, field.Invalid(name, b.Name, problem))
		}
	}
	if b.Namespace != "" {
		for _, problem := range validation.IsDNS1123Label(b.Namespace) {
			errs = append(errs, field.Invalid(namespace, b.Namespace, problem))
		}
	}
	return errs
}

func validateSpec(s *v1alpha1.MQTTBridgeSpec, path *field.Path) field.ErrorList {
	errs := validateSide(&s.Local, path.Child("local"))
	errs = append(errs, validateSide(&s.Remote, path.Child("remote"))...)
	for _, l := range s.Local.Servers() {
		for _, r := range s.Remote.Servers() {
			if l.URL != "" && l.URL == r.URL {
				errs = append(errs, field.Invalid(path.Child("remote"), v1alpha1.PublicURL(r.URL), "local and remote have a server with the same URL; a bridge connects two different sides: list each server on one side only"))
			}
		}
	}
	if len(s.LocalToRemote)+len(s.RemoteToLocal) == 0 {
		errs = append(errs, field.Required(path.Child("localToRemote"), "a bridge needs at least one entry in localToRemote or remoteToLocal"))
	}
	errs = append(errs, validateRules(s.LocalToRemote, path.Child("localToRemote"))...)
	errs = append(errs, validateRules(s.RemoteToLocal, path.Child("remoteToLocal"))...)
	if len(errs) == 0 {
		errs = append(errs, validateLoops(s, path)...)
	}
	if s.Delivery != nil {
		errs = append(errs, inRange(path.Child("delivery", "inflightWindow"), s.Delivery.InflightWindow, 1, 65535)...)
		errs = append(errs, inRange(path.Child("delivery", "maxHops"), s.Delivery.MaxHops, 1, 255)...)
	}
	errs = append(errs, validateUnforwardable(s, path)...)
	errs = append(errs, validateBuffer(s, path)...)
	errs = append(errs, validateNotifications(s.Notifications, path.Child("notifications"))...)
	errs = append(errs, validateTracing(s.Tracing, path.Child("tracing"))...)
	errs = append(errs, validateVersions(s, path)...)
	errs = append(errs, validateReplicas(s, path)...)
	errs = append(errs, validateDeletion(s, path)...)
	errs = append(errs, validateClassName(s.ClassName, path.Child("className"))...)
	errs = append(errs, validateRunner(s.Runner, path.Child("runner"))...)
	return errs
}

func validateSide(s *v1alpha1.Side, path *field.Path) field.ErrorList {
	backups := path.Child("backups")
	errs := tooMany(backups, len(s.Backups), maxBackups)
	errs = append(errs, validateServer(&s.Primary, path.Child("primary"))...)
	usesTLS, usesWebSocket := s.Primary.UsesTLS(), s.Primary.UsesWebSocket()
	for i := range s.Backups {
		b := &s.Backups[i]
		errs = append(errs, validateServer(b, backups.Index(i))...)
		usesTLS, usesWebSocket = usesTLS || b.UsesTLS(), usesWebSocket || b.UsesWebSocket()
	}
	errs = append(errs, validateDistinct(s, backups)...)
	if s.TLS != nil && !usesTLS {
		errs = append(errs, field.Invalid(path.Child("tls"), v1alpha1.PublicURL(s.Primary.URL), "tls is set but no server of this side has a TLS URL; write mqtts:// or wss:// in the URLs or remove tls"))
	}
	if s.WebSocket != nil && !usesWebSocket {
		errs = append(errs, field.Invalid(path.Child("webSocket"), v1alpha1.PublicURL(s.Primary.URL), "webSocket is set but no server of this side has a WebSocket URL; write ws:// or wss:// in the URLs or remove webSocket"))
	}
	if s.ProtocolVersion != nil {
		errs = append(errs, oneOf(path.Child("protocolVersion"), *s.ProtocolVersion, v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5)...)
	}
	if longer(s.ClientID, maxClientID) {
		errs = append(errs, field.TooLong(path.Child("clientID"), s.ClientID, maxClientID))
	}
	errs = append(errs, inRange(path.Child("keepAliveSeconds"), s.KeepAliveSeconds, 1, 65535)...)
	if s.SessionExpiry != "" {
		if _, err := ParseSessionExpiry(s.SessionExpiry); err != nil {
			errs = append(errs, field.Invalid(path.Child("sessionExpiry"), s.SessionExpiry, err.Error()))
		}
	}
	errs = append(errs, quantityInRange(path.Child("maximumPacketSize"), s.MaximumPacketSize, "1Ki", "268435460", "maximumPacketSize must be from 1Ki to 268435460, as in 32Mi")...)
	if s.Reconnect != nil {
		errs = append(errs, oneOf(path.Child("reconnect"), *s.Reconnect, v1alpha1.ReconnectNever, v1alpha1.ReconnectOnChange)...)
	}
	if s.BridgeMode != nil {
		errs = append(errs, oneOf(path.Child("bridgeMode"), *s.BridgeMode, v1alpha1.BridgeModeAuto, v1alpha1.BridgeModeOff)...)
	}
	errs = append(errs, validateCredentials(s.Credentials, path.Child("credentials"))...)
	errs = append(errs, validateLogins(s, path)...)
	errs = append(errs, validateTLS(s.TLS, path.Child("tls"))...)
	errs = append(errs, validateProxy(s.Proxy, path.Child("proxy"))...)
	errs = append(errs, validateWebSocket(s.WebSocket, path.Child("webSocket"))...)
	errs = append(errs, validateFailover(s.Failover, path.Child("failover"))...)
	return append(errs, validatePreferred(s, path.Child("preferredServer"))...)
}

// validateDistinct refuses a server that the side lists twice, also if the URLs differ only in
// case or name the default port, and two servers with the same name.
func validateDistinct(s *v1alpha1.Side, backups *field.Path) field.ErrorList {
	var errs field.ErrorList
	servers, names := s.Servers(), s.ServerNames()
	addresses := make([]string, len(servers))
	for i := range servers {
		addresses[i] = normalizeURL(servers[i].URL)
		if addresses[i] == "" {
			continue // validateServer reports it
		}
		if first := slices.Index(addresses, addresses[i]); first < i {
			errs = append(errs, field.Invalid(backups, v1alpha1.PublicURL(servers[i].URL), "two servers of this side have the same URL, apart from upper and lower case or the default port; list each server once"))
			continue
		}
		if first := slices.Index(names, names[i]); first < i {
			errs = append(errs, field.Invalid(backups, names[i], "two servers of this side have the same name; give each server a different name"))
		}
	}
	return errs
}

var (
	serverName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
	hostName   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?[.]?$`)
)

func validateServer(s *v1alpha1.Server, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name != "" && (len(s.Name) > 63 || !serverName.MatchString(s.Name)) {
		errs = append(errs, field.Invalid(path.Child("name"), s.Name, "a server's name must consist of lower case letters, digits and '-', and start and end with a letter or digit"))
	}
	errs = append(errs, validateURL(s.URL, path.Child("url"), ParseURL, "a server needs a URL; set url, for example to mqtt://broker.example:1883")...)
	if s.TLS != nil && !s.UsesTLS() {
		errs = append(errs, field.Invalid(path.Child("tls"), v1alpha1.PublicURL(s.URL), "tls is set but the server's URL is not a TLS URL; write mqtts:// or wss:// in the URL or remove tls"))
	}
	if s.WebSocket != nil && !s.UsesWebSocket() {
		errs = append(errs, field.Invalid(path.Child("webSocket"), v1alpha1.PublicURL(s.URL), "webSocket is set but the server's URL is not a WebSocket URL; write ws:// or wss:// in the URL or remove webSocket"))
	}
	errs = append(errs, validateCredentials(s.Credentials, path.Child("credentials"))...)
	errs = append(errs, validateTLS(s.TLS, path.Child("tls"))...)
	errs = append(errs, validateProxy(s.Proxy, path.Child("proxy"))...)
	return append(errs, validateWebSocket(s.WebSocket, path.Child("webSocket"))...)
}

func validateClassName(name string, path *field.Path) field.ErrorList {
	switch {
	case len(name) > maxClass:
		return field.ErrorList{field.TooLong(path, name, maxClass)}
	case name != "" && !serverName.MatchString(name):
		return field.ErrorList{field.Invalid(path, name, "className must consist of lower case letters, digits and '-', and start and end with a letter or digit, as the value of the operator's flag --class")}
	}
	return nil
}

func validateTLS(t *v1alpha1.TLS, path *field.Path) field.ErrorList {
	if t == nil {
		return nil
	}
	var errs field.ErrorList
	if (t.Certificate == nil) != (t.Key == nil) {
		errs = append(errs, field.Invalid(path.Child("certificate"), "certificate", "a client certificate and its key belong together; set both certificate and key, or neither"))
	}
	errs = append(errs, validateCA(t.CA, path.Child("ca"))...)
	errs = append(errs, validateCertificate(t.Certificate, path.Child("certificate"))...)
	errs = append(errs, validateSecret(t.Key, path.Child("key"))...)
	if t.ServerName != "" && (len(t.ServerName) > maxReference || !hostName.MatchString(t.ServerName)) {
		errs = append(errs, field.Invalid(path.Child("serverName"), t.ServerName, "serverName must be a host name such as broker.example, without scheme or port"))
	}
	errs = append(errs, tooMany(path.Child("alpn"), len(t.ALPN), maxALPN)...)
	for i, protocol := range t.ALPN {
		if protocol == "" || len(protocol) > maxProtocol {
			errs = append(errs, field.Invalid(path.Child("alpn").Index(i), protocol, "the name of a protocol must have from 1 to 255 bytes"))
		}
	}
	return errs
}

func validateProxy(p *v1alpha1.Proxy, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := validateURL(p.URL, path.Child("url"), ParseProxyURL, "a proxy needs a URL; set url, for example to socks5://proxy.example:1080")
	errs = append(errs, validateProxyLogin(p, path)...)
	return append(errs, validateCredentials(p.Credentials, path.Child("credentials"))...)
}

// validateURL returns the errors of a URL: missing if it is empty, otherwise the error of
// parse.
func validateURL[T any](url string, path *field.Path, parse func(string) (T, error), missing string) field.ErrorList {
	switch {
	case url == "":
		return field.ErrorList{field.Required(path, missing)}
	case len(url) > maxURL:
		return field.ErrorList{field.TooLong(path, v1alpha1.PublicURL(url), maxURL)}
	}
	if _, err := parse(url); err != nil {
		return field.ErrorList{field.Invalid(path, v1alpha1.PublicURL(url), err.Error())}
	}
	return nil
}

// longer reports whether a text has more than limit characters (Unicode code points), as the
// schema counts them.
func longer(s string, limit int) bool { return utf8.RuneCountInString(s) > limit }

func tooMany(path *field.Path, n, limit int) field.ErrorList {
	if n <= limit {
		return nil
	}
	return field.ErrorList{field.TooMany(path, n, limit)}
}

func inRange[T int32 | int64](path *field.Path, v *T, low, high T) field.ErrorList {
	if v == nil || *v >= low && *v <= high {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *v, fmt.Sprintf("must be from %d to %d", low, high))}
}

func oneOf[T ~string](path *field.Path, v T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, v) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, v, allowed)}
}
