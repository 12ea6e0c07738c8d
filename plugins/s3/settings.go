package s3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/probe"
)

type settings struct {
	Bucket          string `json:"bucket" jsonschema:"the bucket's name"`
	CredentialsFile string `json:"credentials_file" jsonschema:"absolute path of the file with aws_access_key_id and aws_secret_access_key on the agent's host"`
	Endpoint        string `json:"endpoint,omitempty" jsonschema:"the store's address, http or https; default: that of AWS in the region"`
	Region          string `json:"region,omitempty" jsonschema:"the bucket's region; us-east-1 by default, which most other stores take"`
	Prefix          string `json:"prefix,omitempty" jsonschema:"only objects whose name begins so, like ledger/"`
	Pattern         string `json:"pattern,omitempty" jsonschema:"which objects are recovery points, as a shell matches names, like *.dump.zst; with a slash it is matched against the whole name; every object by default"`
	PathStyle       bool   `json:"path_style,omitempty" jsonschema:"the bucket's name stands in the path and not in the host's name, as many stores of one's own want it"`
	CAFile          string `json:"ca_file,omitempty" jsonschema:"absolute path of a PEM file of the authorities to trust instead of the host's own"`
}

func decode(given holdfast.Settings) (settings, error) {
	s, err := probe.Decode[settings](given)
	if err != nil {
		return s, err
	}
	var faults []error
	wrong := func(setting, format string, args ...any) {
		faults = append(faults, fmt.Errorf("setting %q: %w", setting, fmt.Errorf(format, args...)))
	}
	if s.Bucket == "" || strings.ContainsAny(s.Bucket, "/:?#") { // an ARN names endpoints of its own
		wrong("bucket", "%q is not a bucket's name", s.Bucket)
	}
	if s.Region == "" {
		s.Region = "us-east-1"
	}
	if strings.ContainsFunc(s.Region, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') }) {
		wrong("region", "%q is not a region: write it like eu-west-1", s.Region) // it becomes part of a host's name
	}
	if s.Endpoint != "" {
		u, err := url.Parse(s.Endpoint)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			wrong("endpoint", "want an http or https address like https://s3.example")
		case u.User != nil:
			wrong("endpoint", "holds a user or password: the catalogue keeps no secrets")
		case u.RawQuery != "" || u.Fragment != "":
			wrong("endpoint", "ends in a query or fragment")
		}
	}
	if _, err := path.Match(s.Pattern, ""); err != nil {
		wrong("pattern", "%q is not a pattern: write it like *.tar.gz", s.Pattern)
	}
	if !filepath.IsAbs(s.CredentialsFile) {
		wrong("credentials_file", "%q is not an absolute path", s.CredentialsFile)
	}
	if s.CAFile != "" && !filepath.IsAbs(s.CAFile) {
		wrong("ca_file", "%q is not an absolute path", s.CAFile)
	}
	return s, errors.Join(faults...)
}

// fileMax bounds a credentials_file and a ca_file.
const fileMax = 1 << 20

// open opens a regular file that a setting names.
func open(setting, path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s: %w: let the agent's user read it", setting, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > fileMax {
		f.Close()
		return nil, probe.Unable(holdfast.CredentialUnreadable, "%s %s: not a regular file of at most %v", setting, path, holdfast.Bytes(fileMax))
	}
	return f, nil
}

// credentials reads the keys. Errors never quote a value.
func (s settings) credentials() (aws.CredentialsProvider, error) {
	f, err := open("credentials_file", s.CredentialsFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(f, fileMax))
	for section := "default"; lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[] ")
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && section == "default" && line[0] != '#' && line[0] != ';' {
			keys[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	c := aws.Credentials{AccessKeyID: keys["aws_access_key_id"], SecretAccessKey: keys["aws_secret_access_key"], SessionToken: keys["aws_session_token"]}
	if lines.Err() != nil || !c.HasKeys() {
		return nil, probe.Unable(holdfast.CredentialUnreadable, "credentials_file %s: want lines aws_access_key_id=… and aws_secret_access_key=…, under [default] or no heading", s.CredentialsFile)
	}
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil }), nil
}
