// A Gin app behind the gateway: it takes the user from the headers.
package main

import (
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

func requireUser(c *gin.Context) {
	if c.GetHeader("X-OpenID") == "" {
		c.AbortWithStatusJSON(http.StatusUnauthorized, gin.H{"error": "login_required"})
	}
}

func main() {
	r := gin.New()
	r.GET("/api/me", requireUser, func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{
			"appid":   c.GetHeader("X-AppID"),
			"openid":  c.GetHeader("X-OpenID"),
			"unionid": c.GetHeader("X-UnionID"),
		})
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	if err := r.Run("127.0.0.1:" + port); err != nil {
		panic(err)
	}
}
