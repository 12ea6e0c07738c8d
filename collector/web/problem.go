package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// Every error of the API is a problem (RFC 9457) that names, in errors[].location,
// where the trouble lies: body.FIELD, query.NAME, path.NAME, header.NAME, path,
// method, client (asks too often) or server. Values are never sent back: one of
// them may be a password.

// places says where the trouble lies when nobody said it more precisely.
var places = map[int]string{
	http.StatusBadRequest:            "body",
	http.StatusUnauthorized:          "header.Authorization",
	http.StatusForbidden:             "header.Authorization",
	http.StatusNotFound:              "path",
	http.StatusMethodNotAllowed:      "method",
	http.StatusNotAcceptable:         "header.Accept",
	http.StatusConflict:              "path",
	http.StatusRequestEntityTooLarge: "body",
	http.StatusUnsupportedMediaType:  "header.Content-Type",
	http.StatusMisdirectedRequest:    "header.Host",
	http.StatusUnprocessableEntity:   "body",
	http.StatusTooManyRequests:       "client",
}

// refuse is the problem an operation answers with: what is wrong, and where.
func refuse(status int, location, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return huma.NewError(status, detail, &huma.ErrorDetail{Location: location, Message: detail})
}

// notFound says that there is no thing of that name.
func notFound(location, kind, name string) error {
	return refuse(http.StatusNotFound, location, "there is no %s %s", kind, clip(name))
}

// invalid takes the lines of an error that matches holdfast.ErrInvalid apart: each
// opens with its field. What names the thing at fault ("record") and stands in
// front of the first line is left out.
func invalid(thing string, err error) error {
	text := strings.TrimPrefix(err.Error(), holdfast.ErrInvalid.Error())
	text = strings.TrimPrefix(strings.TrimSpace(text), thing)
	var list []error
	for line := range strings.Lines(strings.TrimPrefix(text, ": ")) {
		field, message, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || strings.ContainsAny(field, ` "`) && field != "started + duration" {
			field, message = "", strings.TrimSpace(line)
		}
		list = append(list, &huma.ErrorDetail{Location: strings.TrimSuffix("body."+field, "."), Message: message})
	}
	return huma.NewError(http.StatusUnprocessableEntity, "the "+thing+" is not valid", list...)
}

// completed gives a problem the place it must name, and takes back the values
// that were sent.
func completed(p *huma.ErrorModel) *huma.ErrorModel {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	place := places[p.Status]
	if place == "" {
		place = "server"
	}
	if len(p.Errors) == 0 {
		p.Errors = []*huma.ErrorDetail{{Location: place, Message: p.Detail}}
	}
	for i, e := range p.Errors {
		e = &huma.ErrorDetail{Location: clip(e.Location), Message: clip(e.Message)}
		if e.Location == "" {
			e.Location = place
		}
		p.Errors[i] = e
	}
	return p
}

// complete is huma's hook into every answer before it is written.
func complete(_ huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*huma.ErrorModel); ok {
		return completed(p), nil
	}
	return v, nil
}

// writeProblem writes a problem outside the API's operations. Its place is the
// one that follows from the status.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	writeAnswer(w, completed(&huma.ErrorModel{Status: status, Detail: detail})) // an error means the client is gone
}
