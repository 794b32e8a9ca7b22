package auth

import (
	"net/http"
)

// route is one of the gateway's own endpoints.
type route struct {
	method string
	serve  func(http.ResponseWriter, *http.Request, *classified) error
	// form, if there is one, takes the form of the page that serve shows.
	form func(http.ResponseWriter, *http.Request, *classified) error
	// once says that serve uses something up, although it is a GET.
	once bool
}

// routeNames lists the routes below the prefix that refuse a request without a
// credential. A site need not have all of them.
var routeNames = []string{"login", "renew", "logout", "session", "sign", "authorize", "callback", "ticket", "enter", "scan", "scan/code", "scan/state", "scan/describe", "scan/approve", "scan/deny"}

// allow names the methods of a route.
func (r *route) allow() string {
	if r.form != nil {
		return r.method + ", " + http.MethodPost
	}
	return r.method
}
