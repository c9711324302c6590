def test_x(app, scene, browser):
    email = scene.alice.email
    t=browser.get("/login").token
    p=browser.open("/login?include_auth_token=1",method="POST",json={"email":email,"password":"a password of the tests"},headers=browser.from_here()|{"Accept":"application/json","X-CSRFToken":t})
    print(p.status,p.body, p.location)
    tok=p.response.json["response"]["user"]["authentication_token"]
    browser.sign_out()
    browser.may_break=True
    q=browser.get("/dashboard",headers={"Authentication-Token":tok})
    print(q.status); q=browser.get("/account",headers={"Authentication-Token":tok}); print(q.status)
    assert 0
