"""Between the page and its server: what is kept of visitors, their connections, the HTML before scripts run. Knows no tab."""
